{{- define "podgate.labels" -}}
app.kubernetes.io/name: podgate
{{- end -}}

{{- /* The namespaces that the API server never asks about: those of the values, and Podgate's own. */ -}}
{{- define "podgate.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values:
      {{- range .Values.excludeNamespaces }}
      - {{ . | quote }}
      {{- end }}
      - {{ .Release.Namespace | quote }}
{{- end -}}

{{- /* Where the API server calls, but for the path. */ -}}
{{- define "podgate.service" -}}
name: podgate
namespace: {{ .Release.Namespace }}
port: 443
{{- end -}}

{{- /* What all entries have in common. */ -}}
{{- define "podgate.entry" -}}
admissionReviewVersions: [v1]
matchPolicy: Equivalent
timeoutSeconds: {{ .Values.timeoutSeconds }}
namespaceSelector:
  {{- include "podgate.namespaceSelector" . | nindent 2 }}
{{- end -}}

{{- define "podgate.workloads" -}}
- apiGroups: [apps]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [deployments, statefulsets, daemonsets, replicasets]
  scope: Namespaced
- apiGroups: [batch]
  apiVersions: [v1]
  operations: [CREATE, UPDATE]
  resources: [jobs, cronjobs]
  scope: Namespaced
{{- end -}}
