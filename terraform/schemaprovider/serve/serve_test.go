package serve

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/spotrelay/spotrelay/terraform/schemaprovider/schema"
)

func toy() schema.Provider {
	object := schema.Type{Kind: schema.Object, Fields: map[string]schema.Type{"name": {Kind: schema.String}, "any": {Kind: schema.Any}}}
	return schema.Provider{
		Source: "registry.terraform.io/acme/toy", Version: "1.2.3",
		Data: map[string]schema.Block{"toy_road": {Attributes: map[string]schema.Attribute{"id": {Type: schema.Type{Kind: schema.String}, Computed: true}}}},
		Resources: map[string]schema.Block{"toy_car": {
			Attributes: map[string]schema.Attribute{
				"name":  {Type: schema.Type{Kind: schema.String}, Required: true},
				"owner": {Type: schema.Type{Kind: schema.List, Element: &object}, Computed: true},
				"on":    {Type: schema.Type{Kind: schema.Bool}, Optional: true},
				"sizes": {Type: schema.Of(schema.Set, schema.Number), Optional: true},
				"tags":  {Type: schema.Of(schema.Map, schema.String), Optional: true, Computed: true},
			},
			Blocks: map[string]schema.Nested{
				"engine":   {Nesting: schema.List, Most: 1, Least: 1},
				"timeouts": {Nesting: schema.Single},
				"wheel":    {Nesting: schema.Set},
			},
		}},
	}
}

func TestSchema(t *testing.T) {
	s := &server{schema: toy()}
	answer, err := s.GetProviderSchema(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	car := answer.ResourceSchemas["toy_car"].Block
	types := map[string]tftypes.Type{}
	for _, a := range car.Attributes {
		types[a.Name] = a.Type
		if a.Name == "name" && !a.Required || a.Name == "tags" && !(a.Optional && a.Computed) || a.Name == "owner" && (a.Optional || !a.Computed) {
			t.Errorf("%+v", a)
		}
	}
	for name, want := range map[string]tftypes.Type{
		"name": tftypes.String, "on": tftypes.Bool, "sizes": tftypes.Set{ElementType: tftypes.Number}, "tags": tftypes.Map{ElementType: tftypes.String},
		"owner": tftypes.List{ElementType: tftypes.Object{AttributeTypes: map[string]tftypes.Type{"name": tftypes.String, "any": tftypes.DynamicPseudoType}}},
	} {
		if !want.Equal(types[name]) {
			t.Errorf("%s is %v, not %v", name, types[name], want)
		}
	}
	nestings := map[string]tfprotov6.SchemaNestedBlockNestingMode{
		"engine": tfprotov6.SchemaNestedBlockNestingModeList, "timeouts": tfprotov6.SchemaNestedBlockNestingModeSingle, "wheel": tfprotov6.SchemaNestedBlockNestingModeSet,
	}
	for _, b := range car.BlockTypes {
		if b.Nesting != nestings[b.TypeName] || b.TypeName == "engine" && (b.MinItems != 1 || b.MaxItems != 1) {
			t.Errorf("%+v", b)
		}
	}
	metadata, err := s.GetMetadata(t.Context(), nil)
	if err != nil || len(metadata.Resources) != 1 || len(metadata.DataSources) != 1 || len(answer.DataSourceSchemas) != 1 {
		t.Errorf("%+v %v", metadata, err)
	}
}

// Nothing can be made with it: configuring it says so.
func TestMakesNothing(t *testing.T) {
	answer, err := (&server{schema: toy()}).ConfigureProvider(t.Context(), nil)
	if err != nil || len(answer.Diagnostics) != 1 || answer.Diagnostics[0].Severity != tfprotov6.DiagnosticSeverityError {
		t.Errorf("%+v %v", answer, err)
	}
}

func TestSchemaFile(t *testing.T) {
	path := t.TempDir() + "/schema.json"
	if err := toy().Write(path); err != nil {
		t.Fatal(err)
	}
	back, err := schema.Read(path)
	if err != nil || back.Resources["toy_car"].Attributes["owner"].Type.Element.Fields["name"].Kind != schema.String {
		t.Errorf("%+v %v", back, err)
	}
}
