{{/* Names, labels, and what several templates need. */}}

{{- define "nightlight.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "nightlight.labels" -}}
{{ include "nightlight.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "nightlight.selector" -}}
app.kubernetes.io/name: nightlight
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .group }}
nightlight-group: {{ . }}
{{- end }}
{{- end -}}

{{/* The processes that there are, with commas between. */}}
{{- define "nightlight.components" -}}
migrate,service,worker,schedule{{ if .Values.keeper.enabled }},keeper{{ end }}{{ if .Values.edge.enabled }},edge{{ end }}
{{- end -}}

{{/* The purge hook of every edge, each by itself. */}}
{{- define "nightlight.purgeUrls" -}}
{{- $name := include "nightlight.name" . -}}
{{- $urls := list -}}
{{- range $number := until (int .Values.edge.replicas) -}}
{{- $urls = append $urls (printf "http://%s-edge-%d.%s-edge-nodes:8080/purge" $name $number $name) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}

{{/* Refuse what would leave a part of the deployment without somebody who does it. */}}
{{- define "nightlight.check" -}}
{{- range $lane := list "upload" "erasure" "urgent" "trace" "background" -}}
{{- $children := 0 -}}
{{- range $group := $.Values.workers.groups -}}
{{- $children = add $children (get $group.children $lane | default 0) -}}
{{- end -}}
{{- if not $children -}}
{{- fail (printf "no group of workers has children for the lane %s: what waits there is never done" $lane) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.edge.enabled (not .Values.edge.s3) -}}
{{- fail "edge.s3: say HOST:PORT of the S3 server, or turn the edge off" -}}
{{- end -}}
{{- if .Values.network.enabled -}}
{{- range $store := list "postgres" "rabbitmq" "redis" "s3" -}}
{{- if not (index $.Values.network $store).to -}}
{{- fail (printf "network.%s.to: say where it is, or turn network policies off" $store) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.workers.autoscaling.enabled (not (.Capabilities.APIVersions.Has "keda.sh/v1alpha1")) -}}
{{- fail "KEDA is not installed in this cluster: install it, or set workers.autoscaling.enabled=false" -}}
{{- end -}}
{{- if and .Values.monitoring.enabled (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
{{- fail "the Prometheus operator is not installed in this cluster: install it, or set monitoring.enabled=false" -}}
{{- end -}}
{{- end -}}
