variable "prefix" {
  description = "What the names of buckets, roles and queues begin with."
  type        = string
  default     = "nightlight"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.prefix))
    error_message = "The prefix is 2 to 31 lower-case letters, digits or hyphens."
  }
}

variable "service_principals" {
  description = "ARNs that may take the service's role: the task or instance roles of the HTTP service."
  type        = list(string)
}

variable "worker_principals" {
  description = "ARNs that may take the workers' role."
  type        = list(string)
}

variable "keeper_principals" {
  description = "ARNs that may take the role of whoever keeps the vault: a few people, never a process of the service."
  type        = list(string)
}

variable "lifecycle_file" {
  description = "What `nightlight lifecycle render json` wrote. Without it the rules are left to `nightlight lifecycle apply`; never use both."
  type        = string
  default     = null
}

variable "log_bucket" {
  description = "An existing bucket for access logs; null for none."
  type        = string
  default     = null
}

variable "source_bucket" {
  description = "An existing bucket whose new pictures are imported; null for none. Its notifications are replaced."
  type        = string
  default     = null
}

variable "source_prefix" {
  description = "What the keys of its pictures begin with."
  type        = string
  default     = ""
}

variable "alarm_topic_arn" {
  description = "SNS topic that alarms are sent to; null for alarms that nobody is told of."
  type        = string
  default     = null
}

variable "manifests_key" {
  description = "Whether to make a KMS key (ES256) that the workers sign C2PA manifests with."
  type        = bool
  default     = false
}

variable "cloudfront" {
  description = "Whether to make what a CloudFront distribution of pictures needs: functions, policies, and the list of revoked pictures."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of everything. Nothing that tells whose pictures these are."
  type        = map(string)
  default     = {}
}
