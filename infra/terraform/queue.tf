# Notifications of the bucket that pictures come from, for `python -m workers imports`.
locals {
  listens = var.source_bucket == null ? 0 : 1
}

resource "aws_sqs_queue" "dead" {
  count = local.listens

  name                      = "${var.prefix}-arrivals-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue" "arrivals" {
  count = local.listens

  name                       = "${var.prefix}-arrivals"
  visibility_timeout_seconds = 60
  message_retention_seconds  = 1209600
  receive_wait_time_seconds  = 10
  sqs_managed_sse_enabled    = true
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead[0].arn
    maxReceiveCount     = 5
  })
}

data "aws_iam_policy_document" "queue" {
  count = local.listens

  statement {
    sid       = "TheBucketTells"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.arrivals[0].arn]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = ["arn:aws:s3:::${var.source_bucket}"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }

  statement {
    sid       = "TheWorkersListen"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.arrivals[0].arn]

    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.this["worker"].arn]
    }
  }
}

resource "aws_sqs_queue_policy" "arrivals" {
  count = local.listens

  queue_url = aws_sqs_queue.arrivals[0].id
  policy    = data.aws_iam_policy_document.queue[0].json
}

resource "aws_s3_bucket_notification" "source" {
  count = local.listens

  bucket = var.source_bucket

  queue {
    queue_arn     = aws_sqs_queue.arrivals[0].arn
    events        = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    filter_prefix = var.source_prefix
  }

  depends_on = [aws_sqs_queue_policy.arrivals]
}

data "aws_iam_policy_document" "source" {
  count = local.listens

  statement {
    sid       = "ReadWhatArrives"
    actions   = ["s3:GetObject", "s3:ListBucket"]
    resources = ["arn:aws:s3:::${var.source_bucket}", "arn:aws:s3:::${var.source_bucket}/*"]
  }
}

resource "aws_iam_role_policy" "source" {
  count = local.listens

  name   = "source"
  role   = aws_iam_role.this["worker"].id
  policy = data.aws_iam_policy_document.source[0].json
}
