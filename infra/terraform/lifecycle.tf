locals {
  rendered = var.lifecycle_file == null ? {} : jsondecode(file(var.lifecycle_file))
  rules    = { for key, name in local.names : key => try(local.rendered[name].Rules, []) }
}

# The same rules as `nightlight lifecycle apply` puts. This resource replaces all rules of a bucket.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = { for key, rules in local.rules : key => rules if length(rules) > 0 }

  bucket = aws_s3_bucket.this[each.key].id

  dynamic "rule" {
    for_each = each.value

    content {
      id     = rule.value.ID
      status = rule.value.Status

      filter {
        prefix = try(rule.value.Filter.Prefix, null)

        dynamic "tag" {
          for_each = try([rule.value.Filter.Tag], [])

          content {
            key   = tag.value.Key
            value = tag.value.Value
          }
        }

        dynamic "and" {
          for_each = try([rule.value.Filter.And], [])

          content {
            prefix = try(and.value.Prefix, null)
            tags   = { for one in and.value.Tags : one.Key => one.Value }
          }
        }
      }

      dynamic "expiration" {
        for_each = try([rule.value.Expiration], [])

        content {
          days                         = try(expiration.value.Days, null)
          expired_object_delete_marker = try(expiration.value.ExpiredObjectDeleteMarker, null)
        }
      }

      dynamic "transition" {
        for_each = try(rule.value.Transitions, [])

        content {
          days          = transition.value.Days
          storage_class = transition.value.StorageClass
        }
      }

      dynamic "noncurrent_version_expiration" {
        for_each = try([rule.value.NoncurrentVersionExpiration], [])

        content {
          noncurrent_days = noncurrent_version_expiration.value.NoncurrentDays
        }
      }

      dynamic "abort_incomplete_multipart_upload" {
        for_each = try([rule.value.AbortIncompleteMultipartUpload], [])

        content {
          days_after_initiation = abort_incomplete_multipart_upload.value.DaysAfterInitiation
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
