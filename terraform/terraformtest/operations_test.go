package terraformtest

import (
	"go/types"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/go/packages"
)

// What the code calls is read from the code itself: each use of a method of an
// SDK's client, whichever way it is used, so nothing is missed that a test does
// not come by. What the analysis does not know fails the test.

// calls are operations, "ec2:CreateFleet" or "compute.instances.list", by the
// package that makes them.
type calls map[string][]string

// all are the operations of packages, sorted.
func (c calls) all(folders ...string) []string {
	found := map[string]bool{}
	for _, folder := range folders {
		for _, operation := range c[folder] {
			found[operation] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// The packages that call, by what they are for.
const (
	awsProvider = "providers/aws"
	gcpProvider = "providers/gcp"
	s3Bucket    = "checkpointing/bucket/s3bucket"
	gcsBucket   = "checkpointing/bucket/gcsbucket"
)

// callsOf reads the code, once.
func callsOf(t testing.TB) calls {
	t.Helper()
	found, err := readCalls()
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range found.faults {
		t.Error(fault)
	}
	return found.calls
}

// reading is what was read, and what could not be.
type reading struct {
	calls  calls
	faults []string
}

const ownModule = "github.com/spotrelay/spotrelay/"

var readCalls = sync.OnceValues(func() (reading, error) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedSyntax,
		Dir:  repository(),
	}, "./providers/...", "./checkpointing/bucket/...")
	if err != nil {
		return reading{}, err
	}
	found := calls{}
	var faults []string
	for _, p := range loaded {
		folder := strings.TrimPrefix(p.PkgPath, ownModule)
		if last := folder[strings.LastIndex(folder, "/")+1:]; strings.HasSuffix(last, "test") || strings.Contains(folder, "test/") {
			continue // the fakes, which serve what others call
		}
		for _, e := range p.Errors {
			faults = append(faults, e.Error())
		}
		for imported := range p.Imports {
			if fault := checkImport(imported); fault != "" {
				faults = append(faults, folder+": "+fault)
			}
		}
		operations := map[string]bool{}
		for ident, object := range p.TypesInfo.Uses {
			f, ok := object.(*types.Func)
			if !ok || f.Pkg() == nil {
				continue
			}
			operation, fault := operationOf(f)
			if fault != "" {
				faults = append(faults, p.Fset.Position(ident.Pos()).String()+": "+fault)
			}
			if operation != "" {
				operations[operation] = true
			}
		}
		if len(operations) > 0 {
			found[folder] = slices.Sorted(maps.Keys(operations))
		}
	}
	return reading{found, faults}, nil
})

// operationOf is the operation that a function of an SDK asks for, "" for none;
// or what is wrong with the question.
func operationOf(f *types.Func) (operation, fault string) {
	path := f.Pkg().Path()
	switch {
	case strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/service/"):
		return awsOperation(strings.TrimPrefix(path, "github.com/aws/aws-sdk-go-v2/service/"), f), ""
	case path == "github.com/aws/aws-sdk-go-v2/credentials/stscreds" && f.Name() == "NewAssumeRoleProvider":
		return "sts:AssumeRole", ""
	case path == "cloud.google.com/go/compute/apiv1":
		return computeOperation(f)
	case path == "cloud.google.com/go/storage":
		return storageOperation(f)
	case strings.HasPrefix(path, "google.golang.org/api/cloudbilling/"):
		if receiver(f) == "ServicesSkusListCall" && (f.Name() == "Do" || f.Name() == "Pages") {
			return "cloudbilling.services.skus.list", ""
		}
	}
	return "", ""
}

// receiver is the name of a method's type, "" for a function.
func receiver(f *types.Func) string {
	signature := f.Type().(*types.Signature)
	if signature.Recv() == nil {
		return ""
	}
	kind := signature.Recv().Type()
	if pointer, ok := kind.(*types.Pointer); ok {
		kind = pointer.Elem()
	}
	if named, ok := kind.(*types.Named); ok {
		return named.Obj().Name()
	}
	return ""
}

// awsOperation: Client.X(ctx, *XInput), PresignClient.PresignX, NewXPaginator,
// NewXWaiter. What the clients' interfaces promise comes to the same.
func awsOperation(service string, f *types.Func) string {
	name := f.Name()
	signature := f.Type().(*types.Signature)
	if signature.Recv() != nil {
		if signature.Params().Len() < 2 || !strings.HasSuffix(signature.Params().At(1).Type().String(), "."+strings.TrimPrefix(name, "Presign")+"Input") {
			return ""
		}
		return service + ":" + strings.TrimPrefix(name, "Presign")
	}
	for _, suffix := range []string{"Paginator", "Waiter"} {
		if middle, ok := strings.CutSuffix(name, suffix); ok && strings.HasPrefix(middle, "New") {
			return service + ":" + strings.TrimPrefix(middle, "New")
		}
	}
	return ""
}

// computeOperation: InstancesClient.List is compute.instances.list.
func computeOperation(f *types.Func) (operation, fault string) {
	of := receiver(f)
	client, isClient := strings.CutSuffix(of, "Client")
	switch {
	case isClient && f.Name() != "Close" && f.Name() != "Connection":
		return "compute." + lowerFirst(client) + "." + lowerFirst(f.Name()), ""
	case of == "Operation" && (f.Name() == "Wait" || f.Name() == "Poll"):
		return "", "Operation." + f.Name() + " asks for the operation in a way that this test does not see; use the operations' client"
	}
	return "", ""
}

// storageCalls are the methods of Cloud Storage's client that ask for something.
var storageCalls = map[string]string{
	"BucketHandle.Objects": "storage.objects.list", "ObjectHandle.NewReader": "storage.objects.get", "ObjectHandle.NewRangeReader": "storage.objects.get",
	"ObjectHandle.NewWriter": "storage.objects.insert", "ObjectHandle.Delete": "storage.objects.delete", "ObjectHandle.Attrs": "storage.objects.get",
}

// storageSilent are those that ask for nothing, or for what another one began.
var storageSilent = []string{
	"Client.Bucket", "Client.Close", "Client.SetRetry", "BucketHandle.Object", "BucketHandle.Retryer", "ObjectHandle.If", "ObjectHandle.Retryer",
	"ObjectHandle.Generation", "ObjectIterator.Next", "ObjectIterator.PageInfo", "Reader.Close", "Reader.Read", "Reader.Size", "Writer.Attrs", "Writer.Close", "Writer.Write",
	"Query.SetAttrSelection", "ObjectHandle.ReadCompressed",
}

func storageOperation(f *types.Func) (operation, fault string) {
	of := receiver(f)
	if of == "" {
		return "", ""
	}
	name := of + "." + f.Name()
	if operation := storageCalls[name]; operation != "" {
		return operation, ""
	}
	if slices.Contains(storageSilent, name) {
		return "", ""
	}
	return "", "this test does not know what " + name + " of Cloud Storage asks for: add it to storageCalls or storageSilent"
}

// helpers are the packages of the SDKs that ask for nothing but credentials.
var helpers = []string{
	"github.com/aws/aws-sdk-go-v2/aws", "github.com/aws/aws-sdk-go-v2/config", "github.com/aws/aws-sdk-go-v2/credentials",
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds", "cloud.google.com/go/compute/apiv1", "cloud.google.com/go/compute/apiv1/computepb", "cloud.google.com/go/storage",
}

// checkImport wants every package of an SDK to be one that this test reads.
func checkImport(path string) string {
	known := slices.Contains(helpers, path) || strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/aws/") ||
		strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/service/")
	if known || !strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/") && !strings.HasPrefix(path, "cloud.google.com/go/") {
		return ""
	}
	return "this test does not know what " + path + " calls: add it to helpers if it calls nothing, else to operationOf"
}

func lowerFirst(name string) string { return strings.ToLower(name[:1]) + name[1:] }
