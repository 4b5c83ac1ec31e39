# What AWS can see. Nightlight's own alerts (erasures late, holds due) are in infra/alerts.yaml, for Prometheus.
locals {
  told = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
}

resource "aws_cloudwatch_metric_alarm" "arrivals_wait" {
  count = local.listens

  alarm_name          = "${var.prefix}-arrivals-wait"
  alarm_description   = "Notifications of new pictures have waited for a quarter of an hour: is `python -m workers imports` running?"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.arrivals[0].name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 900
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.told
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "arrivals_dead" {
  count = local.listens

  alarm_name          = "${var.prefix}-arrivals-dead"
  alarm_description   = "Notifications that nobody understands are in the dead-letter queue."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead[0].name }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.told
  tags                = var.tags
}

# Somebody without the right asked for an original or for the vault: a key in the wrong hands, or a wrong setting.
resource "aws_s3_bucket_metric" "denied" {
  for_each = { for key, name in local.names : key => name if key != "renditions" }

  bucket = aws_s3_bucket.this[each.key].id
  name   = "all"
}

resource "aws_cloudwatch_metric_alarm" "denied" {
  for_each = aws_s3_bucket_metric.denied

  alarm_name          = "${var.prefix}-${each.key}-denied"
  alarm_description   = "Requests to the ${each.key} bucket are refused."
  namespace           = "AWS/S3"
  metric_name         = "4xxErrors"
  dimensions          = { BucketName = each.value.bucket, FilterId = each.value.name }
  statistic           = "Sum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 20
  period              = 300
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.told
  tags                = var.tags
}
