{{- /* The pod, the same for both ways to run it. */}}
{{- define "gati-registry.pod" -}}
metadata:
  labels:
    {{- include "gati-registry.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "gati-registry.serviceAccount" . }}
  automountServiceAccountToken: false
  # Without this Kubernetes adds GATI_REGISTRY_… variables for the Service, and unknown settings stop the start.
  enableServiceLinks: false
  # shutdown.delay, shutdown.grace, and some time for closing; no preStop hook: the delay is the server's own.
  terminationGracePeriodSeconds: {{ add .Values.shutdown.delaySeconds .Values.shutdown.graceSeconds 30 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- with .Values.topologySpreadConstraints }}
    {{- toYaml . | nindent 4 }}
    {{- else }}
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "gati-registry.selector" . | nindent 10 }}
    {{- end }}
  containers:
    - name: registry
      image: {{ include "gati-registry.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      ports:
        - name: http
          containerPort: 5000
      env:
        {{- include "gati-registry.env" . | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      startupProbe:
        {{- include "gati-registry.probe" (dict "root" . "path" "/livez") | nindent 8 }}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: {{ div .Values.probes.startupSeconds 2 }}
      livenessProbe:
        {{- include "gati-registry.probe" (dict "root" . "path" "/livez") | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # /readyz gives each backend five seconds.
      readinessProbe:
        {{- include "gati-registry.probe" (dict "root" . "path" "/readyz") | nindent 8 }}
        periodSeconds: 5
        timeoutSeconds: 6
        failureThreshold: 2
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: data
          mountPath: /var/lib/gati
        - name: tmp
          mountPath: /tmp
        {{- if .Values.admin.secret.name }}
        - name: admin
          mountPath: /run/secrets/admin
          readOnly: true
        {{- end }}
        {{- if .Values.tls.secret }}
        - name: tls
          mountPath: /run/secrets/tls
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- if and .Values.backup.enabled (not (include "gati-registry.shared" .)) }}
    - {{- include "gati-registry.backup" . | nindent 6 }}
    {{- end }}
  volumes:
    {{- if and .Values.backup.enabled (not (include "gati-registry.shared" .)) }}
    {{- include "gati-registry.backupKey" . | nindent 4 }}
    {{- end }}
    - name: tmp
      emptyDir:
        sizeLimit: 256Mi
    {{- if include "gati-registry.shared" . }}
    - name: data
      emptyDir:
        sizeLimit: {{ .Values.persistence.scratch }}
    {{- else if .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- end }}
    {{- if .Values.admin.secret.name }}
    - name: admin
      secret:
        secretName: {{ .Values.admin.secret.name }}
        defaultMode: 0440
        items:
          - key: {{ .Values.admin.secret.key }}
            path: password
    {{- end }}
    {{- if .Values.tls.secret }}
    - name: tls
      secret:
        secretName: {{ .Values.tls.secret }}
        defaultMode: 0440
    {{- end }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "gati-registry.env" -}}
- name: GATI_LISTEN
  value: 0.0.0.0:5000
- name: GATI_DATA
  value: /var/lib/gati
- name: GATI_WORKERS
  value: {{ .Values.workers | quote }}
- name: GATI_SHUTDOWN__DELAY
  value: {{ .Values.shutdown.delaySeconds | quote }}
- name: GATI_SHUTDOWN__GRACE
  value: {{ .Values.shutdown.graceSeconds | quote }}
{{- with include "gati-registry.publicUrl" . }}
- name: GATI_PUBLIC_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.trustedProxies }}
- name: GATI_PROXY__TRUSTED
  value: {{ join "," . | quote }}
{{- end }}
{{- if include "gati-registry.shared" . }}
- name: GATI_METADATA_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.secret.name }}
      key: {{ .Values.database.secret.key }}
{{- end }}
{{- with .Values.blobs.url }}
- name: GATI_BLOBS_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.blobs.secret }}
{{- if .name }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .accessKey }}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .secretKey }}
{{- end }}
{{- end }}
{{- if .Values.admin.secret.name }}
- name: GATI_ADMIN_PASSWORD_FILE
  value: /run/secrets/admin/password
{{- end }}
{{- if .Values.tls.secret }}
- name: GATI_TLS__CERT
  value: /run/secrets/tls/tls.crt
- name: GATI_TLS__KEY
  value: /run/secrets/tls/tls.key
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ include "gati-registry.variable" $name }}
  {{- /* Numbers of a values file are floats: 604800 must not become 6.048e+05. */}}
  value: {{ if kindIs "slice" $value }}{{ join "," $value | quote }}{{ else if kindIs "float64" $value }}{{ $value | toJson | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
