{{/* An empty repository is refused: no registry holds an image of Postrider that the chart could name. */}}
{{- define "postrider.image" -}}
{{- $registry := trimSuffix "/" (default .Values.image.registry (.Values.global).imageRegistry) -}}
{{- if and (not .Values.image.repository) $registry }}
{{- fail (printf "image.repository is empty, and the registry alone (%s) does not name an image: add --set image.repository=postrider if you pushed %s/postrider:%s (docs/install.md)" $registry $registry .Chart.AppVersion) }}
{{- else if not .Values.image.repository }}
{{- fail (printf "image.repository is empty, and no registry holds an image of Postrider: build it with \"docker build -t registry.example.com/postrider:%s .\" at the top of the repository, push it, and add --set image.repository=registry.example.com/postrider (docs/install.md)" .Chart.AppVersion) }}
{{- end }}
{{- $name := .Values.image.repository -}}
{{- with $registry }}{{- $name = printf "%s/%s" . $name }}{{- end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{/* Names and objects with a name are both in use; Kubernetes knows objects. */}}
{{- define "postrider.pullSecrets" -}}
{{- $all := list -}}
{{- range concat (default list (.Values.global).imagePullSecrets) (default list .Values.image.pullSecrets) -}}
{{- $all = append $all (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $all }}{{ toYaml . }}{{ end -}}
{{- end }}

{{/* True where OpenShift gives every namespace its own range of users: a number of ours would be refused by its restricted-v2 SCC. */}}
{{- define "postrider.adaptsSecurityContext" -}}
{{- $mode := .Values.openshift.adaptSecurityContext -}}
{{- if or (eq $mode "force") (and (eq $mode "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}true{{ end -}}
{{- end }}

{{/* A security context without the numbers that OpenShift chooses. Use: dict "context" . "value" .Values.podSecurityContext */}}
{{- define "postrider.securityContext" -}}
{{- $value := deepCopy (default dict .value) -}}
{{- if include "postrider.adaptsSecurityContext" .context }}{{ $value = omit $value "runAsUser" "runAsGroup" "fsGroup" }}{{ end -}}
{{- toYaml $value -}}
{{- end }}

{{/* What says where and how a Pod runs, for the operator's and for that of the uninstall Job. */}}
{{- define "postrider.podPlacement" -}}
{{- $all := dict -}}
{{- range list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" "dnsConfig" "hostAliases" "nodeSelector" "tolerations" "affinity" -}}
{{- $key := . }}{{ with index $.Values $key }}{{ $_ := set $all $key . }}{{ end -}}
{{- end -}}
{{- if not .Values.hostUsers }}{{ $_ := set $all "hostUsers" false }}{{ end -}}
{{- with include "postrider.pullSecrets" . }}{{ $_ := set $all "imagePullSecrets" (fromYamlArray .) }}{{ end -}}
{{- with $all }}{{ toYaml . }}{{ end -}}
{{- end }}

{{- define "postrider.uninstallHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* With rbac.create=false the Job has no permissions, unless a ServiceAccount with them is named: a hook that must fail would stop Helm. */}}
{{- define "postrider.uninstalls" -}}
{{- if and .Values.uninstall.enabled (or .Values.rbac.create .Values.uninstall.serviceAccount.name) }}true{{ end -}}
{{- end }}

{{/* Not the operator's selector labels: no Service may send events to the uninstall Job. */}}
{{- define "postrider.uninstallSelectorLabels" -}}
app.kubernetes.io/name: {{ printf "%s-uninstall" (include "postrider.name" . | trunc 53 | trimSuffix "-") | quote }}
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" | quote }}
{{- end }}
