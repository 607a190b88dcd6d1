# The alarm: an e-mail to each address, by notification channels.

resource "google_monitoring_notification_channel" "budget" {
  for_each = toset(var.budget == null ? [] : var.budget.emails)

  project      = var.project
  display_name = "Budget of the spotrelay fleet ${var.name}: ${each.value}"
  type         = "email"
  labels       = { email_address = each.value }

  depends_on = [google_project_service.apis]
}

resource "google_billing_budget" "fleet" {
  count = var.budget == null ? 0 : 1

  billing_account = var.budget.billing_account
  display_name    = "spotrelay ${var.name}"

  budget_filter {
    projects        = ["projects/${data.google_project.fleet.number}"]
    calendar_period = "MONTH"
  }

  amount {
    specified_amount {
      currency_code = var.budget.currency
      units         = tostring(var.budget.amount)
    }
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "CURRENT_SPEND"
  }

  threshold_rules {
    threshold_percent = 1
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = [for channel in google_monitoring_notification_channel.budget : channel.id]
  }

  depends_on = [google_project_service.apis]
}
