{{/* The Secret with the certificate of a port, or nothing where it speaks plain HTTP. Use: dict "context" . "port" "ingest" */}}
{{- define "postrider.tlsSecret" -}}
{{- $tls := index .context.Values.tls .port -}}
{{- if $tls.secretName -}}
{{- $tls.secretName -}}
{{- else if $tls.certManager.enabled -}}
{{- include "postrider.suffixed" (dict "context" .context "suffix" (printf "%s-tls" .port)) -}}
{{- end -}}
{{- end }}

{{- define "postrider.scheme" -}}
{{- include "postrider.tlsSecret" . | empty | ternary "http" "https" -}}
{{- end }}

{{/* Where the Secrets are mounted, one folder per port. Never a subPath: the kubelet would not renew the file. */}}
{{- define "postrider.tlsFolder" -}}
{{- printf "/etc/postrider/tls/%s" . -}}
{{- end }}

{{/* The flags, volumes and mounts of all ports with TLS, as YAML of {args, volumes, mounts}. */}}
{{- define "postrider.tlsParts" -}}
{{- $args := list }}{{ $volumes := list }}{{ $mounts := list -}}
{{- range $port := list "ingest" "api" "metrics" -}}
{{- with include "postrider.tlsSecret" (dict "context" $ "port" $port) -}}
{{- $folder := include "postrider.tlsFolder" $port -}}
{{- $args = concat $args (list (printf "--%s-tls-certificate-file=%s/tls.crt" $port $folder) (printf "--%s-tls-key-file=%s/tls.key" $port $folder)) -}}
{{- $volumes = append $volumes (dict "name" (printf "tls-%s" $port) "secret" (dict "secretName" . "defaultMode" 292)) -}}
{{- $mounts = append $mounts (dict "name" (printf "tls-%s" $port) "mountPath" $folder "readOnly" true) -}}
{{- end -}}
{{- end -}}
{{- with .Values.tls.ingest.clientCA.secretName -}}
{{- $folder := include "postrider.tlsFolder" "ingest-clients" -}}
{{- $args = append $args (printf "--ingest-tls-client-ca-file=%s/%s" $folder $.Values.tls.ingest.clientCA.key) -}}
{{- $volumes = append $volumes (dict "name" "tls-ingest-clients" "secret" (dict "secretName" . "defaultMode" 292)) -}}
{{- $mounts = append $mounts (dict "name" "tls-ingest-clients" "mountPath" $folder "readOnly" true) -}}
{{- end -}}
{{- toYaml (dict "args" $args "volumes" $volumes "mounts" $mounts) -}}
{{- end }}

{{/*
How Prometheus checks the certificate of the metrics port: the values' own tlsConfig, or the authority in the Secret, which a monitor may
name in its own namespace only. Use: dict "context" . "monitor" .Values.serviceMonitor "name" "serviceMonitor"
*/}}
{{- define "postrider.monitorTLS" -}}
{{- $secret := include "postrider.tlsSecret" (dict "context" .context "port" "metrics") -}}
{{- $scheme := default (include "postrider.scheme" (dict "context" .context "port" "metrics")) .monitor.scheme -}}
{{- $config := .monitor.tlsConfig -}}
{{- if and $secret (eq $scheme "https") (not $config) -}}
{{- if and .monitor.namespace (ne .monitor.namespace .context.Release.Namespace) -}}
{{- fail (printf "%s.tlsConfig is empty: in namespace %s the monitor cannot read the Secret %s of namespace %s; say there how Prometheus checks the certificate, for example {insecureSkipVerify: false, serverName: %s, ca: {secret: {name: ..., key: ca.crt}}}" .name .monitor.namespace $secret .context.Release.Namespace (include "postrider.serviceHost" (dict "context" .context "port" "metrics"))) -}}
{{- end -}}
{{- $config = dict "serverName" (include "postrider.serviceHost" (dict "context" .context "port" "metrics")) "ca" (dict "secret" (dict "name" $secret "key" "ca.crt")) -}}
{{- end -}}
scheme: {{ $scheme }}
{{- with $config }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
