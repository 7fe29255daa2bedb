{{- /* The name of everything: the release's, so that two releases in one namespace do not meet. */}}
{{- define "bridge.labels" -}}
app.kubernetes.io/name: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "bridge.selector" -}}
app.kubernetes.io/name: {{ .Release.Name }}
{{- end }}
{{- define "bridge.metadata" -}}
name: {{ .Release.Name }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "bridge.labels" . | nindent 2 }}
{{- end }}
