package main

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
)

const (
	symbols = 128 // ASCII; anything else is read as 0
	orders  = 4   // the longest context, in characters
	rows    = 2048
)

// model is one row of weights for each hashed context of each order. The
// arithmetic is single-threaded and in a fixed order, so it is repeatable.
type model struct {
	weights []float32 // orders x rows x symbols
}

func newModel() *model { return &model{weights: make([]float32, orders*rows*symbols)} }

// contexts finds the rows for the characters before position i.
func (m *model) contexts(text []byte, i int) (found [orders][]float32) {
	hash := uint32(2166136261)
	for order := range orders {
		var c byte
		if at := i - 1 - order; at >= 0 {
			c = text[at] % symbols
		}
		hash = (hash ^ uint32(c)) * 16777619
		row := order*rows + int(hash>>8)%rows
		found[order] = m.weights[row*symbols : (row+1)*symbols]
	}
	return found
}

// predict fills p with the probability of each symbol.
func predict(found [orders][]float32, p *[symbols]float32) {
	var largest float32 = -math.MaxFloat32
	for s := range symbols {
		z := found[0][s] + found[1][s] + found[2][s] + found[3][s]
		p[s] = z
		largest = max(largest, z)
	}
	var sum float32
	for s := range symbols {
		p[s] = float32(math.Exp(float64(p[s] - largest)))
		sum += p[s]
	}
	for s := range symbols {
		p[s] /= sum
	}
}

// learn takes one gradient step for each character from begin to end.
func (m *model) learn(text []byte, begin, end int, rate float32) {
	var p [symbols]float32
	for i := begin; i < end; i++ {
		found := m.contexts(text, i)
		predict(found, &p)
		p[text[i]%symbols]--
		for s := range symbols {
			step := rate * p[s]
			for order := range orders {
				found[order][s] -= step
			}
		}
	}
}

// bits is the mean surprise over a text that was not learned, in bits a
// character.
func (m *model) bits(text []byte) float64 {
	var p [symbols]float32
	sum := 0.0
	for i := range text {
		predict(m.contexts(text, i), &p)
		sum -= math.Log2(float64(p[text[i]%symbols]))
	}
	return sum / float64(len(text))
}

// digest is a SHA-256 of all weights, in hex.
func (m *model) digest() string {
	sum := sha256.Sum256(weightBytes(m.weights))
	return hex.EncodeToString(sum[:])
}
