module github.com/driveshare/downstream-node

go 1.26.0
