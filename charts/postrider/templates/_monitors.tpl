{{/* One endpoint of a monitor. Use: dict "context" . "monitor" .Values.serviceMonitor "name" "serviceMonitor" */}}
{{- define "postrider.monitorEndpoint" -}}
port: metrics
path: /metrics
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
{{ include "postrider.monitorTLS" . }}
{{- if .monitor.authorization }}
authorization:
  {{- toYaml .monitor.authorization | nindent 2 }}
{{- else if eq .context.Values.metrics.auth "kubernetes" }}
{{- if eq .name "podMonitor" }}
{{- fail "podMonitor.authorization: metrics.auth kubernetes needs credentials; a ServiceMonitor can use Prometheus's own token" }}
{{- end }}
bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}
# `namespace` is the subscription's; without this it would become exported_namespace and no rule or dashboard would find it.
honorLabels: true
{{- with .monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A monitor looks in its own namespace, unless it is told another one. */}}
{{- define "postrider.monitorNamespaceSelector" -}}
{{- if and .monitor.namespace (ne .monitor.namespace .context.Release.Namespace) }}
namespaceSelector:
  matchNames: [{{ .context.Release.Namespace | quote }}]
{{- end }}
{{- end }}
