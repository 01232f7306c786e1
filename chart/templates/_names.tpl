{{- define "tenet.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: tenet
{{- end }}

{{- define "tenet.selector" -}}
tenet.sh/control-plane: {{ .Release.Name }}
{{- end }}

{{- define "tenet.clusterRole" -}}
tenet-syncer:{{ .Release.Namespace }}:{{ .Release.Name }}
{{- end }}

{{- define "tenet.image" -}}
{{ .Values.images.syncer | default (printf "tenet.sh/tenet-syncer:%s" .Chart.AppVersion) }}
{{- end }}
