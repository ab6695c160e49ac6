{{- define "weft.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "weft.labels" -}}
app.kubernetes.io/name: weft
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "weft.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
{{- end -}}

{{- define "weft.apiServer" -}}
{{- with .Values.apiServer }}
{{- if .host }}
- {name: KUBERNETES_SERVICE_HOST, value: {{ .host | quote }}}
- {name: KUBERNETES_SERVICE_PORT, value: {{ .port | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{- /* Daemons that are not root write in folders of root's group. */ -}}
{{- define "weft.unprivileged" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 0
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Five minutes of silence: a daemon with much to compute is not ended, or it would begin again. */ -}}
{{- define "weft.liveness" -}}
periodSeconds: 30
timeoutSeconds: 10
failureThreshold: 10
{{- end -}}

{{- /* Ten minutes: to read, repair or compact a large database. */ -}}
{{- define "weft.startup" -}}
periodSeconds: 2
timeoutSeconds: 5
failureThreshold: 300
{{- end -}}

{{- define "weft.readiness" -}}
periodSeconds: 10
timeoutSeconds: 5
{{- end -}}

{{- /* The groups of the host's Open vSwitch, where its sockets belong to another user than root. */ -}}
{{- define "weft.podSecurity" -}}
seccompProfile: {type: RuntimeDefault}
{{- with .Values.openvswitch.group }}
supplementalGroups: [{{ . }}]
{{- end }}
{{- end -}}
