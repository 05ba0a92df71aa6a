#!/bin/sh
# Find the root of a number by Newton's method, and log each step: sh train.sh NUMBER [STEPS]
set -eu

number=${1:-2}
steps=${2:-6}

git track log-param number="$number" steps="$steps"
git track log-tag method=newton

# One process takes all points: each line that awk prints is one.
awk -v number="$number" -v steps="$steps" 'BEGIN {
    guess = number
    for (step = 1; step <= steps; step++) {
        guess = (guess + number / guess) / 2
        error = guess * guess - number
        printf "step=%d guess=%.15g error=%.6e\n", step, guess, error < 0 ? -error : error
        fflush()
    }
    print guess > "root.txt"
}' | git track log-metric -

git track log-artifact root.txt
echo "root: $(cat root.txt)"
