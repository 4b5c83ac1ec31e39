locals {
  names = {
    originals  = "${var.prefix}-originals"
    renditions = "${var.prefix}-renditions"
    exports    = "${var.prefix}-exports"
    vault      = "${var.prefix}-vault"
  }

  # What the policy files beside this module leave open; they are made from one description (nightlight.retention.access).
  blanks = {
    ORIGINALS  = local.names.originals
    RENDITIONS = local.names.renditions
    EXPORTS    = local.names.exports
    VAULT      = local.names.vault
    SERVICE    = aws_iam_role.this["service"].arn
    WORKER     = aws_iam_role.this["worker"].arn
    KEEPER     = aws_iam_role.this["keeper"].arn
  }
}

resource "aws_s3_bucket" "this" {
  for_each = local.names

  bucket              = each.value
  object_lock_enabled = each.key == "vault"
  tags                = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each = local.names

  bucket                  = aws_s3_bucket.this[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = local.names

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = local.names

  bucket = aws_s3_bucket.this[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = local.names

  bucket = aws_s3_bucket.this[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.this[each.key].arn
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.names

  bucket = aws_s3_bucket.this[each.key].id
  policy = templatefile("${path.module}/../s3/${each.key}-bucket-policy.json", local.blanks)

  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_logging" "this" {
  for_each = var.log_bucket == null ? {} : local.names

  bucket        = aws_s3_bucket.this[each.key].id
  target_bucket = var.log_bucket
  target_prefix = "${each.value}/"
}
