{{/* Made by hack/chart-sync from config/rbac. Do not edit. */}}

{{- define "downstream-node.rules.leader-election" -}}
- apiGroups:
  - coordination.k8s.io
  resources:
  - leases
  verbs:
  - create
- apiGroups:
  - coordination.k8s.io
  resourceNames:
  - downstream-operator
  resources:
  - leases
  verbs:
  - get
  - update
- apiGroups:
  - events.k8s.io
  resources:
  - events
  verbs:
  - create
  - patch
- apiGroups:
  - ""
  resources:
  - events
  verbs:
  - create
  - patch
{{- end -}}

{{- define "downstream-node.rules.metrics-auth" -}}
- apiGroups:
  - authentication.k8s.io
  resources:
  - tokenreviews
  verbs:
  - create
- apiGroups:
  - authorization.k8s.io
  resources:
  - subjectaccessreviews
  verbs:
  - create
{{- end -}}

{{- define "downstream-node.rules.metrics-reader" -}}
- nonResourceURLs:
  - /metrics
  verbs:
  - get
{{- end -}}

{{- define "downstream-node.rules.node-admin" -}}
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes
  verbs:
  - create
  - delete
  - deletecollection
  - get
  - list
  - patch
  - update
  - watch
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes/status
  verbs:
  - get
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes/scale
  verbs:
  - get
  - patch
  - update
{{- end -}}

{{- define "downstream-node.rules.node-editor" -}}
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes
  verbs:
  - create
  - delete
  - get
  - list
  - patch
  - update
  - watch
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes/status
  verbs:
  - get
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes/scale
  verbs:
  - get
  - patch
  - update
{{- end -}}

{{- define "downstream-node.rules.node-viewer" -}}
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes
  verbs:
  - get
  - list
  - watch
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes/status
  verbs:
  - get
{{- end -}}

{{- define "downstream-node.rules.operator" -}}
- apiGroups:
  - ""
  resources:
  - configmaps
  - services
  verbs:
  - create
  - delete
  - get
  - list
  - patch
  - watch
- apiGroups:
  - ""
  resources:
  - pods
  verbs:
  - list
- apiGroups:
  - ""
  resources:
  - secrets
  verbs:
  - create
  - get
  - list
  - watch
- apiGroups:
  - apps
  resources:
  - deployments
  - statefulsets
  verbs:
  - create
  - delete
  - get
  - list
  - patch
  - watch
- apiGroups:
  - autoscaling
  resources:
  - horizontalpodautoscalers
  verbs:
  - create
  - delete
  - get
  - list
  - patch
  - watch
- apiGroups:
  - batch
  resources:
  - jobs
  verbs:
  - create
  - delete
  - get
  - list
  - patch
  - watch
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes
  verbs:
  - get
  - list
  - watch
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes/finalizers
  verbs:
  - update
- apiGroups:
  - downstream.driveshare.org
  resources:
  - downstreamnodes/status
  verbs:
  - get
  - patch
- apiGroups:
  - events.k8s.io
  resources:
  - events
  verbs:
  - create
  - patch
- apiGroups:
  - gateway.networking.k8s.io
  resources:
  - httproutes
  verbs:
  - create
  - delete
  - get
  - patch
- apiGroups:
  - monitoring.coreos.com
  resources:
  - servicemonitors
  verbs:
  - create
  - delete
  - get
  - patch
- apiGroups:
  - networking.k8s.io
  resources:
  - ingresses
  - networkpolicies
  verbs:
  - create
  - delete
  - get
  - list
  - patch
  - watch
- apiGroups:
  - policy
  resources:
  - poddisruptionbudgets
  verbs:
  - create
  - delete
  - get
  - list
  - patch
  - watch
{{- end -}}
