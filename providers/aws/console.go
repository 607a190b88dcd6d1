package aws

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"github.com/spotrelay/spotrelay/providers"
)

// consoleMost is how much of the console output is given.
const consoleMost = 64 << 10

// Console implements providers.Console. The newest output is there for types of
// the Nitro system; others give what EC2 kept some minutes ago.
func (p *Provider) Console(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
	const op = "console"
	_, s, err := p.begin(ctx, op, fleet)
	if err != nil {
		return "", err
	}
	if !instanceID.MatchString(id) {
		return "", refuse(op, providers.CodeNotFound, "there is no instance "+id, "")
	}
	in := &ec2.GetConsoleOutputInput{InstanceId: aws.String(id), Latest: aws.Bool(true)}
	out, err := ask(ctx, s, call{op, "ec2:GetConsoleOutput"}, s.ec2.GetConsoleOutput, in)
	if codeIs(err, "UnsupportedOperation", "Unsupported", "InvalidParameterCombination") {
		in.Latest = nil
		out, err = ask(ctx, s, call{op, "ec2:GetConsoleOutput"}, s.ec2.GetConsoleOutput, in)
	}
	if err != nil {
		return "", wrap(op, err)
	}
	text, err := base64.StdEncoding.DecodeString(aws.ToString(out.Output))
	if err != nil {
		return "", refuse(op, providers.CodeUnavailable, "the console output is not base64: "+err.Error(), "")
	}
	return tail(string(text), consoleMost), nil
}

// tail is the end of a text, as valid UTF-8 of at most so many bytes.
func tail(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[len(text)-most:], "")
	}
	return text
}
