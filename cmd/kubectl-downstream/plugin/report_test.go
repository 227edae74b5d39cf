package plugin

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/driveshare/downstream-node/api/v1"
	"github.com/driveshare/downstream-node/controllers/desired"
)

// planted are the secrets that the test puts wherever a secret may get to. looks says that
// the bundle must not have them even if the plugin may not read the Secrets.
var planted = map[string]struct {
	value string
	looks bool
}{
	"password of MySQL, in a DSN":           {"p@ss/w0rd", true},
	"password of Redis, in a URL":           {"r3dis-pass", true},
	"value that looks like nothing":         {"correct horse battery", false},
	"short value":                           {"zx9", false},
	"variable of a container":               {"literal-of-a-variable", true},
	"variable of a pod template":            {"literal-of-a-template", true},
	"argument of a sidecar":                 {"argument-of-a-sidecar", true},
	"header of a probe":                     {"header-of-a-probe", true},
	"last-applied-configuration":            {"applied-before", true},
	"token of a farmer in a log":            {"00112233445566778899aabbccddeeff", true},
	"password in the log of the run before": {"logged-before", true},
	"bearer token in an event":              {"bearer-token-in-event", true},
	"line of a private key":                 {"TGluZSBvZiBhIHByaXZhdGUga2V5", true},
	"password in a condition":               {"in-a-condition", true},
	"password in a ConfigMap":               {"in-a-configmap", true},
	"password in JSON":                      {"pass-in-json", true},
	"variable of an applied object":         {"literal-of-an-applied-object", true},
	"end of a password":                     {"end-of-a-password", false},
}

// cutPassword is a value of a Secret. The form of a password ends within it.
var cutPassword = "begin;" + planted["end of a password"].value

func secretOf(name string) string { return planted[name].value }

// plant returns readyNode with its objects, in which the secrets are planted, and the logs.
func plant(t *testing.T, key testKey) (objects []client.Object, logs map[string]string) {
	t.Helper()
	node := readyNode()
	node.UID = "uid-of-farm"
	node.Annotations = map[string]string{
		corev1.LastAppliedConfigAnnotation: `{"value": "` + secretOf("last-applied-configuration") + `"}`,
		"kapp.k14s.io/original":            `{"env": [{"name": "A", "value": "` + secretOf("variable of an applied object") + `"}]}`,
	}
	node.Spec.Backup = &v1.BackupSpec{}
	node.Spec.MySQL.DSNSecretRef = &v1.DSNRef{ObjectReference: v1.ObjectReference{Name: "backends"}, Key: "dsn"}
	node.Spec.API.PodTemplate = &runtime.RawExtension{Raw: []byte(`{"spec": {"containers": [{"name": "api", "env": [
		{"name": "PLAIN", "value": "` + secretOf("variable of a pod template") + `"},
		{"name": "OTHER", "valueFrom": {"secretKeyRef": {"name": "other", "key": "value"}}}]}]}}`)}
	node.Status.Conditions[0].Message = "dial: password=" + secretOf("password in a condition") + " was refused, and password=" + cutPassword + " too"
	node.Status.HeartbeatKeys = []v1.RotatedKeyStatus{{HeartbeatKeyStatus: v1.HeartbeatKeyStatus{SecretName: "farm-heartbeat-key", Fingerprint: key.print}}}
	of := desired.Node{DownstreamNode: node, Inputs: desired.Inputs{Keys: []desired.Key{{File: key.file}}}}
	meta := func(role desired.Role, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: "storage", UID: types.UID("uid-of-" + name), Labels: of.Labels(role)}
	}
	pod := logPod(desired.API, "farm-api-1", "api", "proxy")
	pod.ObjectMeta = meta(desired.API, "farm-api-1")
	pod.Status.ContainerStatuses[0].RestartCount = 1
	pod.Status.ContainerStatuses[0].Image = "example.org/node:v1"
	pod.Spec = corev1.PodSpec{
		Containers: []corev1.Container{
			{Name: "api", Command: []string{desired.Program}, Args: []string{"api", "--config", "/etc/downstream/config.yaml"}, Env: []corev1.EnvVar{{Name: "PLAIN", Value: secretOf("variable of a container")}}},
			{
				Name: "proxy", Args: []string{"--key", secretOf("argument of a sidecar")},
				LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{HTTPHeaders: []corev1.HTTPHeader{{Name: "X", Value: secretOf("header of a probe")}}}}},
			},
		},
		Volumes: []corev1.Volume{{Name: "redis", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "redis"}}},
		}}}}},
	}
	config := &corev1.ConfigMap{ObjectMeta: meta(desired.API, "farm-api-config"), Data: map[string]string{"config.yaml": "mysql:\n  dsnFile: /etc/downstream/mysql/dsn\nextra:\n  dsn: " + secretOf("password in a ConfigMap") + "\n  motto: " + secretOf("value that looks like nothing") + "\n"}}
	// The operator puts the DownstreamNode into this one.
	saved := &corev1.ConfigMap{ObjectMeta: meta(desired.Backup, "farm-backup-config"), Data: of.ConfigMap(desired.Backup).Data}
	saved.Data["other.json"] = `{"password": "` + secretOf("password in JSON") + `"}`
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "whitelist", Namespace: "storage"}, Data: map[string]string{"whitelist.csv": "addresses"}}
	dsn := "farm:" + secretOf("password of MySQL, in a DSN") + "@tcp(mysql:3306)/farm"
	address := "redis://:" + url.QueryEscape(secretOf("password of Redis, in a URL")) + "@redis:6379/0"
	objects = []client.Object{
		node, pod, config, saved, foreign,
		&batchv1.Job{ObjectMeta: meta(desired.Migration, "farm-migration-1")},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "backends", Namespace: "storage"}, Data: map[string][]byte{"dsn": []byte(dsn), "username": []byte("farm")}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "redis", Namespace: "storage"}, Data: map[string][]byte{"url": []byte(address)}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "storage"}, Data: map[string][]byte{"value": []byte(secretOf("value that looks like nothing") + "\n"), "short": []byte(secretOf("short value")), "cut": []byte(cutPassword)}},
		of.HeartbeatKeySecret(0, key.file, key.print),
		event("e1", "Pod", "farm-api-1", "uid-of-farm-api-1", "Authorization: Bearer "+secretOf("bearer token in an event")),
		event("e2", "Pod", "farm-migration-1-x", "uid-of-a-deleted-pod", "deleted"),
		event("e3", "Pod", "stranger", "uid-of-stranger", "not of this node"),
	}
	const path = "/api/v1/namespaces/storage/pods/farm-api-1/log "
	logs = map[string]string{
		path + "api": "2026-01-02T03:04:01Z started\n" +
			"2026-01-02T03:04:01Z password=" + cutPassword + "\n" +
			"2026-01-02T03:04:02Z connect to " + dsn + " and " + address + "\n" +
			`2026-01-02T03:04:03Z {"msg":"said \"` + secretOf("value that looks like nothing") + `\"","b64":"` + base64.StdEncoding.EncodeToString([]byte(secretOf("value that looks like nothing")+"\n")) + "\"}\n" +
			"2026-01-02T03:04:04Z GET /api/downstream/v1/chunk/" + secretOf("token of a farmer in a log") + "/10\n" +
			"2026-01-02T03:04:05Z short " + secretOf("short value") + " " + secretOf("short value") + ", but " + secretOf("short value") + "y is another word\n" +
			"2026-01-02T03:04:06Z the key is " + string(bytes.TrimSpace(key.file)) + "\n",
		path + "api previous": `2026-01-02T03:03:00Z {"msg":"panic","password":"` + secretOf("password in the log of the run before") + "\"}\n",
		path + "proxy":        "2026-01-02T03:04:01Z -----BEGIN EC PRIVATE KEY-----\n2026-01-02T03:04:01Z " + secretOf("line of a private key") + "\n2026-01-02T03:04:01Z -----END EC PRIVATE KEY-----\n2026-01-02T03:04:09Z after the key\n",
	}
	return objects, logs
}

func event(name, kind, about, uid, message string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: name, Namespace: "storage"},
		InvolvedObject: corev1.ObjectReference{Kind: kind, Name: about, Namespace: "storage", UID: types.UID(uid)},
		Type:           corev1.EventTypeWarning, Reason: "Failed", Message: message, LastTimestamp: metav1.NewTime(seenAt),
	}
}

// bundleOf returns the files of a support bundle.
func bundleOf(t *testing.T, c *cluster) (files map[string]string, r *report) {
	t.Helper()
	r, err := c.gather(t.Context(), "farm", seenAt)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.write(t.Context(), &out, "dir/farm-report", logOptions{tail: 100}); err != nil {
		t.Fatal(err)
	}
	in, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for _, f := range in.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(f.Name, "farm-report/")] = string(text)
	}
	return files, r
}

// TestReportHasNoSecret looks for every planted secret in every file of the bundle.
func TestReportHasNoSecret(t *testing.T) {
	t.Parallel()
	key := newTestKey(t)
	for name, readable := range map[string]bool{"with the right to read Secrets": true, "without the right": false} {
		objects, logs := plant(t, key)
		c := newTestCluster(t, logs, objects...)
		if !readable {
			c.forbid(func(list client.ObjectList, _ client.ListOptions) bool { return list == nil })
		}
		files, r := bundleOf(t, c)
		if readable != (len(r.problems) == 0) {
			t.Errorf("%s: the problems are %q", name, r.problems)
		}
		secrets := map[string]string{}
		for what, secret := range planted {
			if !readable && !secret.looks {
				continue
			}
			for _, form := range []string{secret.value, url.QueryEscape(secret.value), base64.StdEncoding.EncodeToString([]byte(secret.value)), base64.StdEncoding.EncodeToString([]byte(secret.value + "\n"))} {
				secrets[form] = what
			}
		}
		if readable {
			_, private, _ := strings.Cut(string(key.hb.Private()), `"key":"`)
			private, _, _ = strings.Cut(private, `"`)
			if len(private) < 40 {
				t.Fatalf("the key of %s was not found", key.hb.Private())
			}
			secrets[private] = "heartbeat key"
		}
		for file, text := range files {
			text = strings.ReplaceAll(text, secretOf("short value")+"y", "") // another word
			for secret, what := range secrets {
				if strings.Contains(text, secret) {
					t.Errorf("%s: %s has the %s:\n%s", name, file, what, text)
				}
			}
		}
	}
}

// TestReport checks what the bundle has.
func TestReport(t *testing.T) {
	t.Parallel()
	objects, logs := plant(t, newTestKey(t))
	objects = append(objects, logPod(desired.Workers, "farm-workers-1", "workers")) // its log cannot be read
	files, _ := bundleOf(t, newTestCluster(t, logs, objects...))
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	if got, want := strings.Join(names, "\n"), strings.TrimSpace(`
events.txt
logs/farm-api-1/api.log
logs/farm-api-1/api.previous.log
logs/farm-api-1/proxy.log
objects/configmap/farm-api-config.yaml
objects/configmap/farm-backup-config.yaml
objects/downstreamnode/farm.yaml
objects/job/farm-migration-1.yaml
objects/pod/farm-api-1.yaml
objects/pod/farm-workers-1.yaml
problems.txt
secrets.txt
status.txt
versions.txt`); got != want {
		t.Errorf("the files are\n%s\nwant\n%s", got, want)
	}
	for name, texts := range map[string][]string{
		"events.txt":                                {"2026-01-02T03:04:05Z  1      Warning  Failed  pod/farm-api-1          Authorization: ", "pod/farm-migration-1-x  deleted"},
		"logs/farm-api-1/api.log":                   {"2026-01-02T03:04:01Z started\n", "/api/downstream/v1/chunk/" + redacted + "/10", "connect to " + redacted, secretOf("short value") + "y is another word"},
		"logs/farm-api-1/proxy.log":                 {"after the key"},
		"objects/pod/farm-api-1.yaml":               {"- api\n", "/etc/downstream/config.yaml", "name: PLAIN", "value: '" + redacted + "'", "name: proxy"},
		"objects/configmap/farm-api-config.yaml":    {"dsnFile: /etc/downstream/mysql/dsn"},
		"objects/configmap/farm-backup-config.yaml": {`"name":"PLAIN","value":"` + redacted + `"`},
		"objects/downstreamnode/farm.yaml":          {"kind: DownstreamNode", "dial: password=" + redacted + " was refused", "name: backends", "key: dsn", "namespace: storage"},
		"problems.txt":                              {"read the log of workers in the pod farm-workers-1"},
		"secrets.txt":                               {"backends: dsn, username\n", "farm-heartbeat-key: heartbeat.json\n"},
		"status.txt":                                {"storage/farm", "Ready"},
		"versions.txt":                              {"kubectl-downstream ", "Kubernetes: unknown (", "farm-api-1      api        example.org/node:v1"},
	} {
		for _, text := range texts {
			if !strings.Contains(files[name], text) {
				t.Errorf("%s: no %q in\n%s", name, text, files[name])
			}
		}
	}
	for _, text := range []string{"stranger", "not of this node", "addresses"} {
		for name, content := range files {
			if strings.Contains(content, text) {
				t.Errorf("%s has %q", name, text)
			}
		}
	}
}

func TestRedactor(t *testing.T) {
	t.Parallel()
	r := newRedactor([][]byte{
		[]byte("farm"), []byte("true"), []byte("3306"), []byte("ab"), []byte("app"), []byte("longer secret"), []byte("longer secret 2"),
		[]byte("dir /data\nrequirepass in-a-file-of-redis\n"), []byte("password: x\n-----BEGIN PRIVATE KEY-----\n"),
		[]byte("semi;colon, \"quote\" and space"), []byte("overlapping-1"), []byte("ing-1 and 2"), []byte(`{"auths": {"registry": {"auth": "YXV0aC1vZi1yZWdpc3RyeQ=="}}}`),
	}, []string{"farm"})
	for text, want := range map[string]string{
		"farm, true, 3306 and ab stay":               "farm, true, 3306 and ab stay",
		"app.kubernetes.io/name: app":                "app.kubernetes.io/name: [redacted]",
		"app app":                                    "[redacted] [redacted]",
		"longer secret 2, longer secret":             "[redacted], [redacted]",
		"said in-a-file-of-redis":                    "said [redacted]",
		"auth YXV0aC1vZi1yZWdpc3RyeQ==":              "auth [redacted]",
		"mysql://u:p@h/d?x=1 u:p@tcp(h:1)/d":         "mysql://[redacted]@h/d?x=1 [redacted]@tcp(h:1)/d",
		"https://example.org/a@b":                    "https://[redacted]@b",
		"http://farm-api.storage.svc:80/readyz":      "http://farm-api.storage.svc:80/readyz",
		`{"api_key":"x y","n":1}`:                    `{"api_key":[redacted],"n":1}`,
		`"{\"password\":\"x y\",\"n\":1}"`:           `"{\"password\":[redacted],\"n\":1}"`,
		"Password: x, passwordFile: /etc/x":          "Password: [redacted], passwordFile: /etc/x",
		`password=semi;colon, "quote" and space; ok`: "password=[redacted]; ok",
		`--token semi;colon, "quote" and space ok`:   "--token [redacted] ok",
		"overlapping-1 and 2":                        "[redacted]",
		// "password:" and "-----BEGIN" are words of a Secret, but what follows is a secret too.
		"password: y": "[redacted] [redacted]",
		"-----BEGIN PRIVATE KEY-----\nother\n-----END PRIVATE KEY----- ok": "[redacted] ok",
		"--db-password x --listen :80":                                     "--db-password [redacted] --listen :80",
		"the Secret backends has no key dsn":                               "the Secret backends has no key dsn",
		"Authorization: Basic dXNlcjpwYXNz":                                "Authorization: [redacted] [redacted]",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx.c2lnbmVk ok":                    "[redacted] ok",
		"AGE-SECRET-KEY-1QQQ ok":                                           "[redacted] ok",
		"tokensPerIP: 5":                                                   "tokensPerIP: 5",
	} {
		if got := r.text(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	if got, want := r.log(fmt.Sprintf("/chunk/%032x", 7)), "/chunk/"+redacted; got != want {
		t.Errorf("a token: %s", got)
	}
}

// TestScrubText checks what stays of a text of an object.
func TestScrubText(t *testing.T) {
	t.Parallel()
	r := newRedactor([][]byte{[]byte("known value")}, nil)
	for text, want := range map[string]string{
		` {"env": [{"name": "A", "value": "x"}], "n": 12345678901234567890}`: `{"env":[{"name":"A","value":"[redacted]"}],"n":12345678901234567890}`,
		`[{"env": [{"name": "A", "value": "x"}]}]`:                           `[{"env":[{"name":"A","value":"[redacted]"}]}]`,
		`{"a": "known value", "b": "{\"env\": [{\"value\": \"x\"}]}"}`:       `{"a":"[redacted]","b":"{\"env\":[{\"value\":\"[redacted]\"}]}"}`,
		`{"token": "x"}`:           `{"token":[redacted]}`,
		`{"a": "known value"} end`: `{"a": "[redacted]"} end`,
		"[known value]":            "[[redacted]]",
		"{}":                       "{}",
		"8080":                     "8080",
	} {
		if got := r.scrub(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}
