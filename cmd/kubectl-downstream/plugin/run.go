package plugin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
)

// target is a container of a pod.
type target struct{ namespace, pod, container string }

// runFunc runs a command in a container. in, out and warnings may be nil. If the command fails,
// the error has what it wrote to standard error. Otherwise warnings gets it.
type runFunc func(ctx context.Context, at target, command []string, in io.Reader, out, warnings io.Writer) error

// runner returns a runFunc that works as `kubectl exec` does: by a WebSocket, or by SPDY if
// a proxy does not let a WebSocket pass.
func runner(config *rest.Config) runFunc {
	return func(ctx context.Context, at target, command []string, in io.Reader, out, warnings io.Writer) error {
		core, err := corev1client.NewForConfig(config)
		if err != nil {
			return err
		}
		options := &corev1.PodExecOptions{Container: at.container, Command: command, Stdin: in != nil, Stdout: out != nil, Stderr: true}
		address := core.RESTClient().Post().Namespace(at.namespace).Resource("pods").Name(at.pod).SubResource("exec").
			VersionedParams(options, clientgoscheme.ParameterCodec).URL()
		socket, err := remotecommand.NewWebSocketExecutor(config, "GET", address.String())
		if err != nil {
			return err
		}
		spdy, err := remotecommand.NewSPDYExecutor(config, "POST", address)
		if err != nil {
			return err
		}
		executor, err := remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		})
		if err != nil {
			return err
		}
		var said bytes.Buffer
		err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: &said})
		text := strings.TrimSpace(said.String())
		if exit, ok := errors.AsType[exec.CodeExitError](err); ok {
			err = errors.New(cmp.Or(strings.TrimPrefix(text, "downstream-node: "), exit.Error()))
		} else if text != "" && warnings != nil {
			fmt.Fprintln(warnings, text)
		}
		if err != nil {
			return fmt.Errorf("in the pod %s: %w", at.pod, err)
		}
		return nil
	}
}
