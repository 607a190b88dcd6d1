package bindings

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/spotrelay/spotrelay/terraform/schemaprovider/schema"
)

// folder is a package of a provider "toy" in the form that cdktf generates.
func folder(t *testing.T, parts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("package.json", `{"cdktf": {"provider": {"name": "registry.terraform.io/acme/toy", "version": "1.2.3"}}}`)
	for part, source := range parts {
		sources, err := json.Marshal(map[string]any{"version": 3, "sourcesContent": []string{source}})
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Join("lib", part, "index.js"), "\"use strict\";\n//# sourceMappingURL=data:application/json;base64,"+base64.StdEncoding.EncodeToString(sources))
	}
	return dir
}

const provider = `
export class ToyProvider extends cdktf.TerraformProvider {
  public static readonly tfResourceType = "toy";

  // alias - computed: false, optional: true, required: false
  private _alias?: string;

  // region - computed: false, optional: true, required: false
  private _region?: string;

  protected synthesizeHclAttributes(): { [name: string]: any } {
    const attrs = {
      region: {
        value: cdktf.stringToHclTerraform(this._region),
        isBlock: false,
        type: "simple",
        storageClassType: "string",
      },
    };
`

const car = `
export function carWheelToHclTerraform(struct?: CarWheel | cdktf.IResolvable): any {
  const attrs = {
    size: {
      value: cdktf.numberToHclTerraform(struct!.size),
      isBlock: false,
      type: "simple",
      storageClassType: "number",
    },
  };
}

export class CarWheelOutputReference extends cdktf.ComplexObject {
  // size - computed: false, optional: false, required: true
  private _size?: number;
}

export class CarWheelList extends cdktf.ComplexList {
  public get(index: number): CarWheelOutputReference {
    return new CarWheelOutputReference(this.terraformResource, this.terraformAttribute, index, this.wrapsSet);
  }
}
export class CarOwnerOutputReference extends cdktf.ComplexObject {
  // name - computed: true, optional: false, required: false
  public get name() {
    return this.getStringAttribute('name');
  }
}

export class Car extends cdktf.TerraformResource {
  public static readonly tfResourceType = "toy_car";

  // id - computed: true, optional: true, required: false
  private _id?: string;

  // arn - computed: true, optional: false, required: false
  public get arn() {
    return this.getStringAttribute('arn');
  }

  // owner - computed: true, optional: false, required: false
  private _owner = new CarOwnerList(this, "owner", false);

  // seats - computed: true, optional: false, required: false
  public get seats() {
    return cdktf.Fn.tolist(this.getNumberListAttribute('seats'));
  }

  // name - computed: false, optional: false, required: true
  private _name?: string;

  // tags - computed: false, optional: true, required: false
  private _tags?: { [key: string]: string };

  // zones - computed: true, optional: true, required: false
  private _zones?: string[];

  // engine - computed: false, optional: false, required: true
  private _engine = new CarWheelOutputReference(this, "engine");

  // wheel - computed: false, optional: true, required: false
  private _wheel = new CarWheelList(this, "wheel", true);

  protected synthesizeHclAttributes(): { [name: string]: any } {
    const attrs = {
      id: {
        value: cdktf.stringToHclTerraform(this._id),
        isBlock: false,
        type: "simple",
        storageClassType: "string",
      },
      name: {
        value: cdktf.stringToHclTerraform(this._name),
        isBlock: false,
        type: "simple",
        storageClassType: "string",
      },
      tags: {
        value: cdktf.hashMapperHcl(cdktf.stringToHclTerraform)(this._tags),
        isBlock: false,
        type: "map",
        storageClassType: "stringMap",
      },
      zones: {
        value: cdktf.listMapperHcl(cdktf.stringToHclTerraform, false)(this._zones),
        isBlock: false,
        type: "set",
        storageClassType: "stringList",
      },
      engine: {
        value: carWheelToHclTerraform(this._engine.internalValue),
        isBlock: true,
        type: "list",
        storageClassType: "CarWheelList",
      },
      wheel: {
        value: cdktf.listMapperHcl(carWheelToHclTerraform, true)(this._wheel.internalValue),
        isBlock: true,
        type: "set",
        storageClassType: "CarWheelList",
      },
    };
  }
}
`

func TestProvider(t *testing.T) {
	p, err := Open(folder(t, map[string]string{"provider": provider, "car": car}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Provider([]string{"toy_car"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, number := schema.Type{Kind: schema.String}, schema.Type{Kind: schema.Number}
	wheel := schema.Block{Attributes: map[string]schema.Attribute{"size": {Type: number, Required: true}}, Blocks: map[string]schema.Nested{}}
	owner := schema.Type{Kind: schema.Object, Fields: map[string]schema.Type{"name": text}}
	want := schema.Provider{
		Source: "registry.terraform.io/acme/toy", Version: "1.2.3", Data: map[string]schema.Block{},
		Config: schema.Block{Attributes: map[string]schema.Attribute{"region": {Type: text, Optional: true}}, Blocks: map[string]schema.Nested{}},
		Resources: map[string]schema.Block{"toy_car": {
			Attributes: map[string]schema.Attribute{
				"id": {Type: text, Optional: true, Computed: true}, "arn": {Type: text, Computed: true}, "name": {Type: text, Required: true},
				"owner": {Type: schema.Type{Kind: schema.List, Element: &owner}, Computed: true},
				"seats": {Type: schema.Of(schema.Set, schema.Number), Computed: true},
				"tags":  {Type: schema.Of(schema.Map, schema.String), Optional: true},
				"zones": {Type: schema.Of(schema.Set, schema.String), Optional: true, Computed: true},
			},
			Blocks: map[string]schema.Nested{
				"engine": {Nesting: schema.List, Least: 1, Most: 1, Block: wheel},
				"wheel":  {Nesting: schema.Set, Block: wheel},
			},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		gotText, _ := json.MarshalIndent(got, "", " ")
		wantText, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got %s\nwant %s", gotText, wantText)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	dir := folder(t, map[string]string{"provider": provider, "car": car, "odd": "export const nothing = 1\n"})
	p, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Provider([]string{"toy_boat"}, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("a resource that is not there: %v", err)
	}
	if _, err := p.Provider(nil, []string{"toy_car"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("a data source that is not there: %v", err)
	}
	if _, err := p.Provider([]string{"toy_odd"}, nil); err == nil {
		t.Error("a file of another form was taken")
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("an empty folder was opened")
	}
}
