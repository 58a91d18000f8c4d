module postrider.dev/bench/loadgen

go 1.24
