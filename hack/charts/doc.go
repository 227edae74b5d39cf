// Package charts holds the Helm chart to what the rest of the project is: its
// dashboard and alerts to the metrics that the code exports, what it renders to
// golden files, and the troubleshooting page to every alert and every reason of
// a condition.
package charts
