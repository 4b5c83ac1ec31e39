# A key that signs C2PA manifests and never leaves KMS. Its certificate comes from a certification authority, for the
# public key that `nightlight provenance public-key` prints; NIGHTLIGHT_PROVENANCE_CHAIN is a file that you deploy.
resource "aws_kms_key" "manifests" {
  count = var.manifests_key ? 1 : 0

  description              = "Nightlight: signs manifests"
  customer_master_key_spec = "ECC_NIST_P256"
  key_usage                = "SIGN_VERIFY"
  deletion_window_in_days  = 30
  policy                   = data.aws_iam_policy_document.manifests.json
  tags                     = var.tags
}

data "aws_iam_policy_document" "manifests" {
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
    sid       = "WorkersSign"
    actions   = ["kms:Sign", "kms:GetPublicKey"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.this["worker"].arn]
    }
  }
}
