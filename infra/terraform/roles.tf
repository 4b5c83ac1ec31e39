locals {
  trusted = {
    service = var.service_principals
    worker  = var.worker_principals
    keeper  = var.keeper_principals
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.trusted

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = each.value
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = local.trusted

  name                 = "${var.prefix}-${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 3600
  tags                 = var.tags
}

resource "aws_iam_role_policy" "buckets" {
  for_each = local.trusted

  name   = "buckets"
  role   = aws_iam_role.this[each.key].id
  policy = templatefile("${path.module}/../s3/${each.key}-policy.json", local.blanks)
}
