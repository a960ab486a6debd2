"""The routes of the shop; the same as in the other example projects."""

from django.urls import path

from . import views

urlpatterns = [
    path("imports", views.import_orders),
    path("reports/sales.csv", views.sales_report),
    path("failing", views.failing),
    path("rates", views.rates),
    path("slow", views.slow),
]
