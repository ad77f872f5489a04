#!/bin/sh
# Three Pods of one kind, made by hand: the same manifest under three names.
for n in 1 2 3; do
  sed "s/name: frog/name: frog-$n/; s/colour: green/colour: blue/" green.yaml | kubectl apply -f -
done
