{{/*
The pod of a Nightlight process. Given: root, component, group (of workers), image, settings, port (0: no pages), command,
grace (seconds), resources, environment (more variables), volumes, mounts.

The restricted Pod Security Standard holds. RuntimeDefault is the seccomp profile of the container engine, which allows
what the workers' sandbox needs (seccomp, prctl, memfd_create). The processes share a namespace with the pod's first
process, which takes up what a killed worker leaves behind. Without enableServiceLinks: false a Service by the name of
nightlight-service would set NIGHTLIGHT_SERVICE_PORT to a URL.
*/}}
{{- define "nightlight.pod" -}}
{{- $secret := index .root.Values.secrets .component -}}
{{- $settings := mergeOverwrite (deepCopy .root.Values.settings.all) (deepCopy .settings) (.environment | default dict) -}}
metadata:
  labels:
    {{- include "nightlight.labels" . | nindent 4 }}
spec:
  serviceAccountName: {{ if eq .component "migrate" }}default{{ else }}{{ include "nightlight.name" .root }}-{{ .component }}{{ end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  shareProcessNamespace: true
  terminationGracePeriodSeconds: {{ .grace }}
  {{- include "nightlight.placing" . | nindent 2 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .component }}
      image: {{ .image | quote }}
      imagePullPolicy: {{ .root.Values.images.pullPolicy }}
      {{- with .command }}
      command: {{ toJson . }}
      {{- end }}
      {{- include "nightlight.restrictions" . | nindent 6 }}
      env:
        - {name: NIGHTLIGHT_SECRETS_DIR, value: /run/nightlight}
        {{- range $name, $value := $settings }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      {{- if .port }}
      ports:
        - {name: http, containerPort: {{ .port }}}
      startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2, failureThreshold: 60, timeoutSeconds: 5}
      livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 10, failureThreshold: 6, timeoutSeconds: 5}
      readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 10, failureThreshold: 3, timeoutSeconds: 10}
      {{- end }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      volumeMounts:
        - {name: secrets, mountPath: /run/nightlight, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- range .mounts }}
        - {{ toJson . }}
        {{- end }}
  volumes:
    - name: secrets
      secret:
        secretName: {{ $secret.name }}
        defaultMode: 288  # 0440, which is 440 where YAML is read by version 1.2
        items:
          {{- range $secret.keys }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    - name: tmp
      emptyDir: {medium: Memory, sizeLimit: 512Mi}
    {{- range .volumes }}
    - {{ toJson . }}
    {{- end }}
{{- end -}}

{{- define "nightlight.restrictions" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods are put: apart from each other, by node and by zone, as far as there is room. */}}
{{- define "nightlight.placing" -}}
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - {name: {{ . }}}
  {{- end }}
{{- end }}
{{- with .root.Values.pods.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .root.Values.pods.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .root.Values.pods.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "nightlight.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{- define "nightlight.budget" -}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "nightlight.name" .root }}-{{ .component }}{{ with .group }}-{{ . }}{{ end }}
  labels:
    {{- include "nightlight.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "nightlight.selector" . | nindent 6 }}
{{- end -}}
