// Package charts tests the Helm chart: its dashboard and alerts against the
// exported metrics, its rendered templates against golden files, and the
// troubleshooting page against every alert and every condition reason.
package charts
