# A key for each bucket, so that what may read renditions can be told apart from what may read originals.
resource "aws_kms_key" "this" {
  for_each = local.names

  description             = "Nightlight: ${each.key}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key[each.key].json
  tags                    = var.tags
}

resource "aws_kms_alias" "this" {
  for_each = local.names

  name          = "alias/${each.value}"
  target_key_id = aws_kms_key.this[each.key].key_id
}

data "aws_caller_identity" "current" {}

locals {
  # Who may make data keys for a bucket's objects (to put one), and who may open them (to read one).
  key_writers = {
    originals  = ["service", "worker", "keeper"]
    renditions = ["worker"]
    exports    = ["worker"]
    vault      = ["worker"]
  }
  key_readers = {
    originals  = ["worker"]
    renditions = ["service", "worker"]
    exports    = ["service", "worker"]
    vault      = ["keeper"]
  }
}

data "aws_iam_policy_document" "key" {
  for_each = local.names

  statement {
    sid       = "TheAccountKeepsTheKey"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }

  statement {
    sid       = "Put"
    actions   = ["kms:GenerateDataKey"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [for name in local.key_writers[each.key] : aws_iam_role.this[name].arn]
    }
  }

  statement {
    sid       = "Read"
    actions   = ["kms:Decrypt"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [for name in local.key_readers[each.key] : aws_iam_role.this[name].arn]
    }
  }
}
