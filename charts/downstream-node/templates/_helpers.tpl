{{- define "downstream-node.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A name for objects without a namespace. No other release uses this name. */}}
{{- define "downstream-node.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "downstream-node.fullname" .) -}}
{{- end -}}

{{/* The network policy of an evaluation Redis admits pods with this name label. */}}
{{- define "downstream-node.selectorLabels" -}}
app.kubernetes.io/name: downstream-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "downstream-node.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "downstream-node.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "downstream-node.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "downstream-node.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "downstream-node.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/*
Every pod of the chart meets the restricted pod security standard. The user is the image's,
because OpenShift refuses a pod that names a user.
*/}}
{{- define "downstream-node.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "downstream-node.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* A container of the operator's image. */}}
{{- define "downstream-node.container" -}}
image: {{ include "downstream-node.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- include "downstream-node.containerSecurity" . | nindent 2 }}
{{- end -}}
