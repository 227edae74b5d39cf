package plugin

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/driveshare/downstream-node/controllers/desired"
)

// scrub removes from the JSON of an object what may hold a secret, whether the user may read
// Secrets or not. It keeps the names of variables and arguments of the node program, which
// takes secrets from files only.
func (r *redactor) scrub(value any) any {
	switch value := value.(type) {
	case string:
		return r.scrubText(value)
	case []any:
		for i := range value {
			value[i] = r.scrub(value[i])
		}
	case map[string]any:
		for name, member := range value {
			switch list, _ := member.([]any); name {
			case "managedFields", "kubectl.kubernetes.io/last-applied-configuration", "binaryData":
				delete(value, name)
				continue
			case "containers", "initContainers", "ephemeralContainers":
				for i := range list {
					list[i] = scrubContainer(list[i])
				}
			case "env":
				hideValues(list)
			}
			value[name] = r.scrub(member)
		}
	}
	return value
}

// scrubText scrubs a text. A text can be the JSON of an object: the ConfigMap of the backup has
// the DownstreamNode, and some tools write an object into an annotation.
func (r *redactor) scrubText(text string) string {
	if !strings.HasPrefix(strings.TrimSpace(text), "{") && !strings.HasPrefix(strings.TrimSpace(text), "[") {
		return r.text(text)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // keeps large numbers as they are
	var value any
	if err := decoder.Decode(&value); err != nil {
		return r.text(text) // it is not JSON
	}
	if _, err := decoder.Token(); err != io.EOF {
		return r.text(text) // JSON, and then something else
	}
	encoded, err := json.Marshal(r.scrub(value))
	if err != nil {
		panic(err) // impossible: it was decoded from JSON
	}
	return r.text(string(encoded)) // the name of a field can say that its value is a secret
}

// containerFields are the fields of a container that hold no secret. Commands, probes and
// hooks may hold one.
var containerFields = []string{
	"name", "image", "imagePullPolicy", "resources", "ports", "securityContext", "restartPolicy",
	"volumeMounts", "env", "envFrom", "terminationMessagePath", "terminationMessagePolicy",
}

// programFields are the other fields that stay if the container runs the node program.
var programFields = []string{"command", "args", "livenessProbe", "readinessProbe", "startupProbe"}

func scrubContainer(value any) any {
	container, ok := value.(map[string]any)
	if !ok {
		return value
	}
	fields := containerFields
	if command, _ := container["command"].([]any); len(command) == 1 && command[0] == desired.Program {
		fields = slices.Concat(fields, programFields)
	}
	container = maps.Clone(container)
	maps.DeleteFunc(container, func(name string, _ any) bool { return !slices.Contains(fields, name) })
	return container
}

// hideValues removes the values of environment variables.
func hideValues(variables []any) {
	for _, v := range variables {
		if variable, ok := v.(map[string]any); ok && variable["value"] != nil {
			variable["value"] = redacted
		}
	}
}

// secretNames adds the names of the Secrets that the JSON of an object refers to. An object
// of Kubernetes and a DownstreamNode refer to a Secret in one of these ways: a text in a
// field whose name ends with secretName, a name in a field whose name ends with secretRef or
// secretKeyRef, in a projected volume's secret, or in imagePullSecrets.
func secretNames(value any, add func(string)) {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			secretNames(element, add)
		}
	case map[string]any:
		for field, member := range value {
			switch lower := strings.ToLower(field); {
			case strings.HasSuffix(lower, "secretname"):
				addName(member, add)
			case strings.HasSuffix(lower, "secretref"), strings.HasSuffix(lower, "secretkeyref"), lower == "secret":
				if ref, ok := member.(map[string]any); ok {
					addName(ref["name"], add)
				}
			case lower == "imagepullsecrets":
				refs, _ := member.([]any)
				for _, r := range refs {
					if ref, ok := r.(map[string]any); ok {
						addName(ref["name"], add)
					}
				}
			}
			secretNames(member, add)
		}
	}
}

func addName(name any, add func(string)) {
	if text, ok := name.(string); ok && text != "" {
		add(text)
	}
}
