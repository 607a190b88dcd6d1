// Package serve is a Terraform provider that has schemas and nothing else: by it
// `terraform validate`, and `terraform test` with mock_provider, hold modules to
// a provider that cannot be had. It plans, reads and makes nothing.
package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/spotrelay/spotrelay/terraform/schemaprovider/schema"
)

// Serve serves a schema to the Terraform that started this process, until it
// ends it.
func Serve(p schema.Provider) error {
	return tf6server.Serve(p.Source, func() tfprotov6.ProviderServer { return &server{schema: p} })
}

// server answers what Terraform asks before it plans. The embedded interface is
// nil: whatever else is called is a fault of the caller, and ends the process.
type server struct {
	tfprotov6.ProviderServer
	schema schema.Provider
}

func (s *server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	answer := &tfprotov6.GetMetadataResponse{ServerCapabilities: &tfprotov6.ServerCapabilities{}}
	for _, name := range slices.Sorted(maps.Keys(s.schema.Resources)) {
		answer.Resources = append(answer.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for _, name := range slices.Sorted(maps.Keys(s.schema.Data)) {
		answer.DataSources = append(answer.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return answer, nil
}

func (s *server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	answer := &tfprotov6.GetProviderSchemaResponse{
		ServerCapabilities: &tfprotov6.ServerCapabilities{},
		Provider:           &tfprotov6.Schema{Block: block(s.schema.Config)},
		ResourceSchemas:    map[string]*tfprotov6.Schema{}, DataSourceSchemas: map[string]*tfprotov6.Schema{},
	}
	for name, b := range s.schema.Resources {
		answer.ResourceSchemas[name] = &tfprotov6.Schema{Block: block(b)}
	}
	for name, b := range s.schema.Data {
		answer.DataSourceSchemas[name] = &tfprotov6.Schema{Block: block(b)}
	}
	return answer, nil
}

func (s *server) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (s *server) GetFunctions(context.Context, *tfprotov6.GetFunctionsRequest) (*tfprotov6.GetFunctionsResponse, error) {
	return &tfprotov6.GetFunctionsResponse{}, nil
}

func (s *server) ValidateProviderConfig(_ context.Context, r *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: r.Config}, nil
}

func (s *server) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (s *server) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (s *server) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{Diagnostics: []*tfprotov6.Diagnostic{{
		Severity: tfprotov6.DiagnosticSeverityError, Summary: "This provider has schemas alone",
		Detail: fmt.Sprintf("It stands for %s in `terraform validate`, and in `terraform test` with mock_provider. It makes nothing.", s.schema.Source),
	}}}, nil
}

func (s *server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func block(b schema.Block) *tfprotov6.SchemaBlock {
	out := &tfprotov6.SchemaBlock{}
	for _, name := range slices.Sorted(maps.Keys(b.Attributes)) {
		a := b.Attributes[name]
		out.Attributes = append(out.Attributes, &tfprotov6.SchemaAttribute{
			Name: name, Type: typeOf(a.Type), Required: a.Required, Optional: a.Optional, Computed: a.Computed,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(b.Blocks)) {
		n := b.Blocks[name]
		out.BlockTypes = append(out.BlockTypes, &tfprotov6.SchemaNestedBlock{
			TypeName: name, Block: block(n.Block), Nesting: nesting(n.Nesting), MinItems: n.Least, MaxItems: n.Most,
		})
	}
	return out
}

func nesting(kind schema.Kind) tfprotov6.SchemaNestedBlockNestingMode {
	switch kind {
	case schema.List:
		return tfprotov6.SchemaNestedBlockNestingModeList
	case schema.Set:
		return tfprotov6.SchemaNestedBlockNestingModeSet
	}
	return tfprotov6.SchemaNestedBlockNestingModeSingle
}

func typeOf(t schema.Type) tftypes.Type {
	switch t.Kind {
	case schema.String:
		return tftypes.String
	case schema.Number:
		return tftypes.Number
	case schema.Bool:
		return tftypes.Bool
	case schema.List:
		return tftypes.List{ElementType: typeOf(*t.Element)}
	case schema.Set:
		return tftypes.Set{ElementType: typeOf(*t.Element)}
	case schema.Map:
		return tftypes.Map{ElementType: typeOf(*t.Element)}
	case schema.Object:
		fields := map[string]tftypes.Type{}
		for name, field := range t.Fields {
			fields[name] = typeOf(field)
		}
		return tftypes.Object{AttributeTypes: fields}
	}
	return tftypes.DynamicPseudoType
}
