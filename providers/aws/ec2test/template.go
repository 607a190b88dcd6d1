package ec2test

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test/model"
)

// template is a launch template with its versions.
type template struct {
	id       string
	name     string
	created  time.Time
	tags     map[string]string
	versions []*templateVersion
	latest   int
}

type templateVersion struct {
	number  int
	data    model.Values
	created time.Time
}

func encode64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// most bytes of user data before its encoding (EC2 User Guide).
const mostUserData = 16 << 10

var templateName = regexp.MustCompile(`^[a-zA-Z0-9().\-/_]{3,128}$`)

// checkLaunchData holds what a template or RunInstances says to EC2's rules
// beside the model.
func (s *Server) checkLaunchData(data model.Values) *apiError {
	if text := data.String("UserData"); text != "" {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return violate("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")
		}
		if len(raw) > mostUserData {
			return violate("InvalidParameterValue", "User data is limited to %d bytes; it has %d", mostUserData, len(raw))
		}
	}
	if len(data.Structs("NetworkInterfaces")) > 0 && (len(data.Strings("SecurityGroupIds")) > 0 || data.Has("SubnetId")) {
		return violate("InvalidParameterCombination", "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request")
	}
	groups := data.Strings("SecurityGroupIds")
	for _, one := range data.Structs("NetworkInterfaces") {
		groups = append(groups, one.Strings("Groups")...)
		if !one.Has("DeviceIndex") {
			return violate("InvalidParameterValue", "Each network interface requires a device index.")
		}
	}
	for _, id := range groups {
		if id != s.network.group {
			return refuse("InvalidGroup.NotFound", "The security group '%s' does not exist", id)
		}
	}
	if profile := data.Struct("IamInstanceProfile"); profile.Has("Arn") && profile.Has("Name") {
		return violate("InvalidParameterCombination", "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'")
	}
	if name := data.String("KeyName"); name != "" && name != s.network.keyPair {
		return refuse("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", name)
	}
	if options := data.Struct("MetadataOptions"); options.Has("HttpPutResponseHopLimit") {
		if hops := options.Int("HttpPutResponseHopLimit"); hops < 1 || hops > 64 {
			return violate("InvalidParameterValue", "HttpPutResponseHopLimit is %d, not 1 to 64", hops)
		}
	}
	for _, device := range data.Structs("BlockDeviceMappings") {
		if ebs := device.Struct("Ebs"); ebs.Has("VolumeSize") && (ebs.Int("VolumeSize") < 8 || ebs.Int("VolumeSize") > 65536) {
			return violate("InvalidBlockDeviceMapping", "Volume of size %dGB is smaller than snapshot, expect size >= 8GB", ebs.Int("VolumeSize"))
		}
	}
	return nil
}

func (s *Server) checkTemplateData(data model.Values) *apiError {
	if refused := s.checkLaunchData(data); refused != nil {
		return refused
	}
	_, refused := readTagSpecifications(data, "instance", "volume", "network-interface", "spot-instances-request", "elastic-gpu")
	return refused
}

func (s *Server) createTemplate(input model.Values) (model.Values, *apiError) {
	name := input.String("LaunchTemplateName")
	if !templateName.MatchString(name) {
		return nil, violate("InvalidLaunchTemplateName.MalformedException", "The launch template name '%s' is malformed", name)
	}
	if refused := s.checkTemplateData(input.Struct("LaunchTemplateData")); refused != nil {
		return nil, refused
	}
	tags, refused := readTagSpecifications(input, "launch-template")
	if refused != nil {
		return nil, refused
	}
	if len(tags) > 0 && s.denied["ec2:CreateTags"] {
		return nil, unauthorized("ec2:CreateTags")
	}
	if before, refused := s.recall("CreateLaunchTemplate", "", input); before != nil || refused != nil {
		return before, refused
	}
	if s.templateNamed(name) != nil {
		return nil, refuse("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	if input.Bool("DryRun") {
		return nil, dryRun()
	}
	now := s.clock.now()
	t := &template{id: s.newID("lt"), name: name, created: now, tags: tags["launch-template"], latest: 1}
	t.versions = []*templateVersion{{1, input.Struct("LaunchTemplateData"), now}}
	s.templates = append(s.templates, t)
	answer := model.Values{"LaunchTemplate": t.describe()}
	s.remember("CreateLaunchTemplate", "", input, answer)
	return answer, nil
}

func (s *Server) createTemplateVersion(input model.Values) (model.Values, *apiError) {
	t, refused := s.findTemplate(input)
	if refused != nil {
		return nil, refused
	}
	if refused := s.checkTemplateData(input.Struct("LaunchTemplateData")); refused != nil {
		return nil, refused
	}
	if before, refused := s.recall("CreateLaunchTemplateVersion", t.id, input); before != nil || refused != nil {
		return before, refused
	}
	data := model.Values{}
	if source := input.String("SourceVersion"); source != "" {
		from, refused := t.version(source)
		if refused != nil {
			return nil, refused
		}
		for name, value := range from.data {
			data[name] = value
		}
	}
	for name, value := range input.Struct("LaunchTemplateData") {
		data[name] = value
	}
	t.latest++
	version := &templateVersion{t.latest, data, s.clock.now()}
	t.versions = append(t.versions, version)
	answer := model.Values{"LaunchTemplateVersion": t.describeVersion(version)}
	s.remember("CreateLaunchTemplateVersion", t.id, input, answer)
	return answer, nil
}

func (s *Server) templateNamed(name string) *template {
	i := slices.IndexFunc(s.templates, func(t *template) bool { return t.name == name })
	if i < 0 {
		return nil
	}
	return s.templates[i]
}

// findTemplate that LaunchTemplateId or LaunchTemplateName says, exactly one.
func (s *Server) findTemplate(input model.Values) (*template, *apiError) {
	id, name := input.String("LaunchTemplateId"), input.String("LaunchTemplateName")
	if (id == "") == (name == "") {
		return nil, violate("InvalidParameterCombination", "Specify either the launch template ID or the launch template name, and not both")
	}
	if name != "" {
		if t := s.templateNamed(name); t != nil {
			return t, nil
		}
		return nil, refuse("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", name)
	}
	for _, t := range s.templates {
		if t.id == id {
			return t, nil
		}
	}
	return nil, refuse("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
}

// version by number, $Latest or $Default.
func (t *template) version(text string) (*templateVersion, *apiError) {
	switch text {
	case "", "$Default":
		return t.versions[0], nil
	case "$Latest":
		return t.versions[len(t.versions)-1], nil
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		return nil, violate("InvalidLaunchTemplateVersion.Malformed", "'%s' is no version", text)
	}
	for _, v := range t.versions {
		if v.number == number {
			return v, nil
		}
	}
	return nil, refuse("InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version %s for the launch template with ID %s.", text, t.id)
}

func (t *template) describe() model.Values {
	return model.Values{
		"LaunchTemplateId": t.id, "LaunchTemplateName": t.name, "CreateTime": t.created, "CreatedBy": callerARN,
		"DefaultVersionNumber": int64(t.versions[0].number), "LatestVersionNumber": int64(t.latest), "Tags": tagList(t.tags),
	}
}

// templateAnswer are the members of a template's data that mean the same in a
// request and in an answer.
var templateAnswer = []string{"ImageId", "InstanceType", "KeyName", "UserData", "InstanceInitiatedShutdownBehavior", "SecurityGroupIds", "IamInstanceProfile", "EbsOptimized", "BlockDeviceMappings", "TagSpecifications", "NetworkInterfaces"}

func (t *template) describeVersion(v *templateVersion) model.Values {
	data := model.Values{}
	for _, name := range templateAnswer {
		if v.data.Has(name) {
			data[name] = v.data[name]
		}
	}
	return model.Values{
		"LaunchTemplateId": t.id, "LaunchTemplateName": t.name, "VersionNumber": int64(v.number), "CreateTime": v.created,
		"DefaultVersion": v == t.versions[0], "LaunchTemplateData": data, "CreatedBy": callerARN,
	}
}

func (s *Server) describeTemplates(input model.Values) (model.Values, *apiError) {
	all, refused := filtersOf(input, "tag", "tag-key", "launch-template-name", "create-time")
	if refused != nil {
		return nil, refused
	}
	ids, names := input.Strings("LaunchTemplateIds"), input.Strings("LaunchTemplateNames")
	for _, id := range ids {
		if _, refused := s.findTemplate(model.Values{"LaunchTemplateId": id}); refused != nil {
			return nil, refused
		}
	}
	for _, name := range names {
		if _, refused := s.findTemplate(model.Values{"LaunchTemplateName": name}); refused != nil {
			return nil, refused
		}
	}
	matching := []*template{}
	for _, t := range s.templates {
		named := len(ids)+len(names) == 0 || slices.Contains(ids, t.id) || slices.Contains(names, t.name)
		if named && all.match(attributes{"launch-template-name": {t.name}}.addTags(t.tags)) {
			matching = append(matching, t)
		}
	}
	part, next, refused := page(matching, input, 1, 200)
	if refused != nil {
		return nil, refused
	}
	list := []any{}
	for _, t := range part {
		list = append(list, t.describe())
	}
	return model.Values{"LaunchTemplates": list, "NextToken": next}, nil
}

func (s *Server) describeTemplateVersions(input model.Values) (model.Values, *apiError) {
	t, refused := s.findTemplate(input)
	if refused != nil {
		return nil, refused
	}
	matching := t.versions
	if wanted := input.Strings("Versions"); len(wanted) > 0 {
		matching = nil
		for _, text := range wanted {
			v, refused := t.version(text)
			if refused != nil {
				return nil, refused
			}
			matching = append(matching, v)
		}
	}
	part, next, refused := page(matching, input, 1, 200)
	if refused != nil {
		return nil, refused
	}
	list := []any{}
	for _, v := range part {
		list = append(list, t.describeVersion(v))
	}
	return model.Values{"LaunchTemplateVersions": list, "NextToken": next}, nil
}

func (s *Server) deleteTemplate(input model.Values) (model.Values, *apiError) {
	t, refused := s.findTemplate(input)
	if refused != nil {
		return nil, refused
	}
	s.templates = slices.DeleteFunc(s.templates, func(one *template) bool { return one == t })
	return model.Values{"LaunchTemplate": t.describe()}, nil
}

func (s *Server) deleteTemplateVersions(input model.Values) (model.Values, *apiError) {
	t, refused := s.findTemplate(input)
	if refused != nil {
		return nil, refused
	}
	deleted, failed := []any{}, []any{}
	for _, text := range input.Strings("Versions") {
		v, refused := t.version(text)
		what := model.Values{"LaunchTemplateId": t.id, "LaunchTemplateName": t.name}
		if number, err := strconv.ParseInt(text, 10, 64); err == nil {
			what["VersionNumber"] = number
		}
		if refused != nil || v == t.versions[0] {
			what["ResponseError"] = model.Values{"Code": "launchTemplateVersionDoesNotExist", "Message": "the version is the default one or does not exist"}
			failed = append(failed, what)
			continue
		}
		t.versions = slices.DeleteFunc(t.versions, func(one *templateVersion) bool { return one == v })
		deleted = append(deleted, what)
	}
	return model.Values{
		"SuccessfullyDeletedLaunchTemplateVersions":   deleted,
		"UnsuccessfullyDeletedLaunchTemplateVersions": failed,
	}, nil
}

// Templates that there are, by name.
func (s *Server) Templates() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, t := range s.templates {
		names = append(names, t.name)
	}
	return names
}

// PutTemplate makes an empty launch template as its owner would, and gives its
// id.
func (s *Server) PutTemplate(name string) (id string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, refused := s.createTemplate(model.Values{"LaunchTemplateName": name, "LaunchTemplateData": model.Values{
		"InstanceInitiatedShutdownBehavior": "terminate",
	}})
	if refused != nil {
		s.t.Errorf("ec2test: the launch template %s: %v", name, refused)
		return ""
	}
	return answer.Struct("LaunchTemplate").String("LaunchTemplateId")
}
