package plugins

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// hclogger gives go-plugin's own messages to slog. They are all for debugging
// here: whatever fails is told by the error of a call, or by host.
type hclogger struct {
	log     *slog.Logger
	name    string
	implied []any
}

var _ hclog.Logger = (*hclogger)(nil)

func newHclogger(log *slog.Logger) hclog.Logger { return &hclogger{log: log} }

// Log implements hclog.Logger.
func (l *hclogger) Log(level hclog.Level, message string, args ...any) {
	if level == hclog.Off {
		return
	}
	args = append(plainArgs(args), "severity", level.String())
	l.log.Log(context.Background(), slog.LevelDebug, message, args...)
}

// plainArgs turns hclog's own kinds of values into text.
func plainArgs(args []any) []any {
	plain := make([]any, len(args))
	for i, arg := range args {
		switch value := arg.(type) {
		case hclog.Format:
			if len(value) > 0 {
				plain[i] = fmt.Sprintf(fmt.Sprint(value[0]), value[1:]...)
			}
		case error:
			plain[i] = value.Error()
		default:
			plain[i] = arg
		}
	}
	return plain
}

// Trace implements hclog.Logger, as the following do.
func (l *hclogger) Trace(message string, args ...any) { l.Log(hclog.Trace, message, args...) }

func (l *hclogger) Debug(message string, args ...any) { l.Log(hclog.Debug, message, args...) }

func (l *hclogger) Info(message string, args ...any) { l.Log(hclog.Info, message, args...) }

func (l *hclogger) Warn(message string, args ...any) { l.Log(hclog.Warn, message, args...) }

func (l *hclogger) Error(message string, args ...any) { l.Log(hclog.Error, message, args...) }

func (l *hclogger) enabled() bool {
	return l.log.Enabled(context.Background(), slog.LevelDebug)
}

func (l *hclogger) IsTrace() bool { return l.enabled() }

func (l *hclogger) IsDebug() bool { return l.enabled() }

func (l *hclogger) IsInfo() bool { return l.enabled() }

func (l *hclogger) IsWarn() bool { return l.enabled() }

func (l *hclogger) IsError() bool { return l.enabled() }

func (l *hclogger) ImpliedArgs() []any { return l.implied }

func (l *hclogger) With(args ...any) hclog.Logger {
	implied := append(append([]any{}, l.implied...), args...)
	return &hclogger{log: l.log.With(plainArgs(args)...), name: l.name, implied: implied}
}

func (l *hclogger) Name() string { return l.name }

func (l *hclogger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.ResetNamed(name)
}

func (l *hclogger) ResetNamed(name string) hclog.Logger {
	return &hclogger{log: l.log, name: name, implied: l.implied}
}

// SetLevel does nothing: slog's handler decides.
func (l *hclogger) SetLevel(hclog.Level) {}

func (l *hclogger) GetLevel() hclog.Level {
	if l.enabled() {
		return hclog.Trace
	}
	return hclog.Off
}

func (l *hclogger) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.log.Handler(), slog.LevelDebug)
}

func (l *hclogger) StandardWriter(options *hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(options).Writer()
}
