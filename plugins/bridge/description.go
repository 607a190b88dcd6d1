package bridge

import (
	"github.com/spotrelay/spotrelay/plugins/proto"
	"github.com/spotrelay/spotrelay/providers"
)

func toDescription(d providers.Description) *proto.Description {
	return &proto.Description{
		Name:         d.Name,
		Version:      d.Version,
		Capabilities: each(d.Capabilities, func(c providers.Capability) string { return string(c) }),
		Schema:       toSchema(d.Schema),
		TokenWindow:  toDuration(d.TokenWindow),
		ListLag:      toDuration(d.ListLag),
		Notice:       toNoticeProbe(d.Notice),
		Leave:        toLeave(d.Leave),
		BootTimeout:  toDuration(d.BootTimeout),
		IdleTimeout:  toDuration(d.IdleTimeout),
		Pace:         toDuration(d.Pace),
	}
}

func fromDescription(d *proto.Description) providers.Description {
	return providers.Description{
		Name:         d.GetName(),
		Version:      d.GetVersion(),
		Capabilities: each(d.GetCapabilities(), func(c string) providers.Capability { return providers.Capability(c) }),
		Schema:       fromSchema(d.GetSchema()),
		TokenWindow:  fromDuration(d.GetTokenWindow()),
		ListLag:      fromDuration(d.GetListLag()),
		Notice:       fromNoticeProbe(d.GetNotice()),
		Leave:        fromLeave(d.GetLeave()),
		BootTimeout:  fromDuration(d.GetBootTimeout()),
		IdleTimeout:  fromDuration(d.GetIdleTimeout()),
		Pace:         fromDuration(d.GetPace()),
	}
}

func toSchema(s providers.Schema) *proto.Schema {
	return &proto.Schema{
		Attributes: each(s.Attributes, toAttribute),
		Blocks:     each(s.Blocks, toBlock),
	}
}

func fromSchema(s *proto.Schema) providers.Schema {
	return providers.Schema{
		Attributes: each(s.GetAttributes(), fromAttribute),
		Blocks:     each(s.GetBlocks(), fromBlock),
	}
}

func toAttribute(a providers.Attribute) *proto.Attribute {
	return &proto.Attribute{
		Name:        a.Name,
		Type:        a.Type,
		Required:    a.Required,
		Default:     a.Default,
		OneOf:       a.OneOf,
		Description: a.Description,
		Example:     a.Example,
	}
}

func fromAttribute(a *proto.Attribute) providers.Attribute {
	return providers.Attribute{
		Name:        a.GetName(),
		Type:        a.GetType(),
		Required:    a.GetRequired(),
		Default:     a.GetDefault(),
		OneOf:       a.GetOneOf(),
		Description: a.GetDescription(),
		Example:     a.GetExample(),
	}
}

func toBlock(b providers.Block) *proto.Block {
	return &proto.Block{
		Type:        b.Type,
		Max:         int64(b.Max),
		Description: b.Description,
		Schema:      toSchema(b.Schema),
	}
}

func fromBlock(b *proto.Block) providers.Block {
	return providers.Block{
		Type:        b.GetType(),
		Max:         int(b.GetMax()),
		Description: b.GetDescription(),
		Schema:      fromSchema(b.GetSchema()),
	}
}

func toFleet(f providers.Fleet) *proto.Fleet {
	return &proto.Fleet{Name: f.Name, Config: f.Config}
}

func fromFleet(f *proto.Fleet) providers.Fleet {
	return providers.Fleet{Name: f.GetName(), Config: f.GetConfig()}
}

func toFault(f providers.Fault) *proto.Fault {
	return &proto.Fault{
		Severity: string(f.Severity),
		Path:     each(f.Path, words),
		Summary:  words(f.Summary),
		Detail:   words(f.Detail),
	}
}

func fromFault(f *proto.Fault) providers.Fault {
	return providers.Fault{
		Severity: providers.Severity(f.GetSeverity()),
		Path:     f.GetPath(),
		Summary:  f.GetSummary(),
		Detail:   f.GetDetail(),
	}
}

func toCheck(c providers.Check) *proto.CheckResult {
	return &proto.CheckResult{
		Name:   words(c.Name),
		Result: string(c.Result),
		Detail: words(c.Detail),
		Advice: words(c.Advice),
	}
}

func fromCheck(c *proto.CheckResult) providers.Check {
	return providers.Check{
		Name:   c.GetName(),
		Result: providers.CheckResult(c.GetResult()),
		Detail: c.GetDetail(),
		Advice: c.GetAdvice(),
	}
}
