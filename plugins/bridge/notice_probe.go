package bridge

import (
	"github.com/spotrelay/spotrelay/plugins/proto"
	"github.com/spotrelay/spotrelay/providers"
)

func toNoticeProbe(p *providers.NoticeProbe) *proto.NoticeProbe {
	if p == nil {
		return nil
	}
	return &proto.NoticeProbe{
		Metadata: p.Metadata,
		Token:    toTokenRequest(p.Token),
		Sources:  each(p.Sources, toNoticeSource),
	}
}

func fromNoticeProbe(p *proto.NoticeProbe) *providers.NoticeProbe {
	if p == nil {
		return nil
	}
	return &providers.NoticeProbe{
		Metadata: p.GetMetadata(),
		Token:    fromTokenRequest(p.GetToken()),
		Sources:  each(p.GetSources(), fromNoticeSource),
	}
}

func toTokenRequest(t *providers.TokenRequest) *proto.TokenRequest {
	if t == nil {
		return nil
	}
	return &proto.TokenRequest{
		Method:  t.Method,
		Url:     t.URL,
		Headers: t.Headers,
		Header:  t.Header,
		Life:    toDuration(t.Life),
	}
}

func fromTokenRequest(t *proto.TokenRequest) *providers.TokenRequest {
	if t == nil {
		return nil
	}
	return &providers.TokenRequest{
		Method:  t.GetMethod(),
		URL:     t.GetUrl(),
		Headers: t.GetHeaders(),
		Header:  t.GetHeader(),
		Life:    fromDuration(t.GetLife()),
	}
}

func toNoticeSource(s providers.NoticeSource) *proto.NoticeSource {
	return &proto.NoticeSource{
		Name:      s.Name,
		Kind:      s.Kind,
		Url:       s.URL,
		Headers:   s.Headers,
		Interval:  toDuration(s.Interval),
		Hang:      s.Hang,
		HangQuery: s.HangQuery,
		Absent:    each(s.Absent, func(code int) int64 { return int64(code) }),
		Match:     toNoticeMatch(s.Match),
	}
}

func fromNoticeSource(s *proto.NoticeSource) providers.NoticeSource {
	return providers.NoticeSource{
		Name:      s.GetName(),
		Kind:      s.GetKind(),
		URL:       s.GetUrl(),
		Headers:   s.GetHeaders(),
		Interval:  fromDuration(s.GetInterval()),
		Hang:      s.GetHang(),
		HangQuery: s.GetHangQuery(),
		Absent:    each(s.GetAbsent(), func(code int64) int { return int(code) }),
		Match:     fromNoticeMatch(s.GetMatch()),
	}
}

func toNoticeMatch(m providers.NoticeMatch) *proto.NoticeMatch {
	return &proto.NoticeMatch{
		Text:           m.Text,
		TimeText:       m.TimeText,
		Array:          m.Array,
		ArrayPath:      m.ArrayPath,
		When:           m.When,
		In:             m.In,
		Action:         m.Action,
		Deadline:       m.Deadline,
		DeadlineLayout: m.DeadlineLayout,
		Lead:           toDuration(m.Lead),
	}
}

func fromNoticeMatch(m *proto.NoticeMatch) providers.NoticeMatch {
	return providers.NoticeMatch{
		Text:           m.GetText(),
		TimeText:       m.GetTimeText(),
		Array:          m.GetArray(),
		ArrayPath:      m.GetArrayPath(),
		When:           m.GetWhen(),
		In:             m.GetIn(),
		Action:         m.GetAction(),
		Deadline:       m.GetDeadline(),
		DeadlineLayout: m.GetDeadlineLayout(),
		Lead:           fromDuration(m.GetLead()),
	}
}

func toLeave(l providers.Leave) *proto.Leave {
	return &proto.Leave{
		Means:   string(l.Means),
		Method:  l.Method,
		Url:     l.URL,
		Headers: l.Headers,
		Command: l.Command,
	}
}

func fromLeave(l *proto.Leave) providers.Leave {
	return providers.Leave{
		Means:   providers.LeaveMeans(l.GetMeans()),
		Method:  l.GetMethod(),
		URL:     l.GetUrl(),
		Headers: l.GetHeaders(),
		Command: l.GetCommand(),
	}
}
