output "environment" {
  description = "NIGHTLIGHT_* settings that follow from what was made; keys and credentials are not among them."
  value = merge(
    {
      NIGHTLIGHT_STORE_KIND                = "s3"
      NIGHTLIGHT_STORE_ORIGINALS_BUCKET    = local.names.originals
      NIGHTLIGHT_STORE_RENDITIONS_BUCKET   = local.names.renditions
      NIGHTLIGHT_STORE_EXPORTS_BUCKET      = local.names.exports
      NIGHTLIGHT_STORE_VAULT_BUCKET        = local.names.vault
      NIGHTLIGHT_BUCKETS_SERVICE_PRINCIPAL = aws_iam_role.this["service"].arn
      NIGHTLIGHT_BUCKETS_WORKER_PRINCIPAL  = aws_iam_role.this["worker"].arn
      NIGHTLIGHT_BUCKETS_KEEPER_PRINCIPAL  = aws_iam_role.this["keeper"].arn
      NIGHTLIGHT_BUCKETS_KMS_KEYS          = jsonencode({ for name, key in aws_kms_key.this : name => key.arn })
    },
    var.manifests_key ? { NIGHTLIGHT_PROVENANCE_KMS_KEY = aws_kms_key.manifests[0].arn } : {},
    { for edge, store in aws_cloudfront_key_value_store.revoked : "NIGHTLIGHT_DELIVERY_CLOUDFRONT_STORE" => store.arn },
    var.source_bucket == null ? {} : { NIGHTLIGHT_SOURCE_QUEUE_URL = aws_sqs_queue.arrivals[0].url },
  )
}

output "cloudfront" {
  description = "What the distribution's behaviour names: functions, and the ids of its policies. Empty without CloudFront."
  value = {
    for edge, policy in aws_cloudfront_response_headers_policy.pictures : edge => {
      viewer_request          = aws_cloudfront_function.verify[edge].arn
      viewer_response         = aws_cloudfront_function.headers[edge].arn
      cache_policy            = aws_cloudfront_cache_policy.pictures[edge].id
      response_headers_policy = policy.id
    }
  }
}

output "roles" {
  description = "ARNs of the roles, by identity."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}

output "keys" {
  description = "ARNs of the buckets' keys, by bucket."
  value       = { for name, key in aws_kms_key.this : name => key.arn }
}
