# What a CloudFront distribution in front of the renditions needs: functions that check signed URLs, know what is revoked,
# and let no header of the bucket through but those on a list. The key ring is put into the key-value store by hand
# (`key_d1`), so that it stands in no plan and no state. The distribution itself is yours: see docs/delivery.md.
locals {
  edge = var.cloudfront ? toset(["edge"]) : toset([])

  edge_source = "${path.module}/../edge"

  # What every picture says, from the file that nginx reads: [name, value] of each line.
  edge_headers = [
    for line in regexall("(?m)^add_header (\\S+) \"([^\"]*)\" always;$", file("${local.edge_source}/nginx/headers.conf")) : line
  ]

  # Those of the bucket that would reach a viewer past the function: it does not run where the bucket answers with an error.
  edge_removed = [
    "Last-Modified", "x-amz-expiration", "x-amz-meta-sha256", "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id", "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-storage-class", "x-amz-tagging-count", "x-amz-version-id", "x-amz-replication-status",
  ]

  edge_secured = ["Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options"]
}

resource "aws_cloudfront_key_value_store" "revoked" {
  for_each = local.edge

  name    = "${var.prefix}-revoked"
  comment = "Nightlight: pictures that are revoked, and the key ring"
}

resource "aws_cloudfront_function" "verify" {
  for_each = local.edge

  name                         = "${var.prefix}-verify"
  runtime                      = "cloudfront-js-2.0"
  code                         = file("${local.edge_source}/cloudfront/verify.js")
  key_value_store_associations = [aws_cloudfront_key_value_store.revoked[each.key].arn]
}

resource "aws_cloudfront_function" "headers" {
  for_each = local.edge

  name    = "${var.prefix}-headers"
  runtime = "cloudfront-js-2.0"
  code    = file("${local.edge_source}/cloudfront/headers.js")
}

resource "aws_cloudfront_response_headers_policy" "pictures" {
  for_each = local.edge

  name = "${var.prefix}-pictures"

  security_headers_config {
    content_security_policy {
      content_security_policy = "default-src 'none'; sandbox"
      override                = true
    }
    content_type_options {
      override = true
    }
    referrer_policy {
      referrer_policy = "no-referrer"
      override        = true
    }
  }

  custom_headers_config {
    dynamic "items" {
      for_each = { for pair in local.edge_headers : pair[0] => pair[1] if !contains(local.edge_secured, pair[0]) }
      content {
        header   = items.key
        value    = items.value
        override = true
      }
    }
  }

  remove_headers_config {
    dynamic "items" {
      for_each = toset(local.edge_removed)
      content {
        header = items.value
      }
    }
  }
}

# By path alone, and with none of what a viewer sends.
resource "aws_cloudfront_cache_policy" "pictures" {
  for_each = local.edge

  name        = "${var.prefix}-pictures"
  min_ttl     = 3600
  default_ttl = 86400
  max_ttl     = 86400

  parameters_in_cache_key_and_forwarded_to_origin {
    cookies_config {
      cookie_behavior = "none"
    }
    headers_config {
      header_behavior = "none"
    }
    query_strings_config {
      query_string_behavior = "none"
    }
  }
}

# Workers and the schedule write the list; they run under one role.
data "aws_iam_policy_document" "revoked" {
  for_each = local.edge

  statement {
    sid = "KeepTheListOfRevokedPictures"
    actions = [
      "cloudfront-keyvaluestore:DescribeKeyValueStore",
      "cloudfront-keyvaluestore:GetKey",
      "cloudfront-keyvaluestore:ListKeys",
      "cloudfront-keyvaluestore:UpdateKeys",
    ]
    resources = [aws_cloudfront_key_value_store.revoked[each.key].arn]
  }
}

resource "aws_iam_role_policy" "revoked" {
  for_each = local.edge

  name   = "revoked"
  role   = aws_iam_role.this["worker"].name
  policy = data.aws_iam_policy_document.revoked[each.key].json
}
