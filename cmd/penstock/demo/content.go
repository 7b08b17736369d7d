package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"strings"
	"time"
)

// file is a static file of the web origin.
type file struct {
	name, contentType string
	body              []byte
	modified          time.Time
}

func (f *file) etag() string {
	sum := sha256.Sum256(f.body)
	return fmt.Sprintf(`"%x"`, sum[:8])
}

// hashed puts a part of the content's hash into a name, as build tools do: /app.js becomes
// /app.1a2b3c4d.js.
func hashed(name string, body []byte) string {
	stem, ext, _ := strings.Cut(name, ".")
	sum := sha256.Sum256(body)
	return fmt.Sprintf("%s.%x.%s", stem, sum[:4], ext)
}

// website makes the web origin's files. They are the same on every run, except for the modification
// time.
func website(modified time.Time) []*file {
	random := rand.New(rand.NewPCG(1, 2))
	script := []byte("'use strict';\n" + strings.Repeat("export const item = (id) => fetch(`/items/${id}`).then((r) => r.json());\n", 300))
	style := []byte(strings.Repeat("main > section { margin: 1rem auto; max-width: 60ch; color: #222; }\n", 200))
	js, css := hashed("/app.js", script), hashed("/styles.css", style)
	index := fmt.Appendf(nil, "<!doctype html>\n<title>Penstock demo</title>\n<link rel=stylesheet href=%s>\n<script type=module src=%s></script>\n<main><h1>It works</h1><img src=/images/harbour.png></main>\n", css, js)
	files := []*file{
		{name: "/index.html", contentType: "text/html; charset=utf-8", body: index},
		{name: js, contentType: "text/javascript; charset=utf-8", body: script},
		{name: css, contentType: "text/css; charset=utf-8", body: style},
		{name: "/book.txt", contentType: "text/plain; charset=utf-8", body: prose(random, 120_000)},
		{name: "/catalog.json", contentType: "application/json", body: catalog(random, 1200)},
		{name: "/images/harbour.png", contentType: "image/png", body: picture(random, 320, 200)},
		{name: "/images/lighthouse.png", contentType: "image/png", body: picture(random, 200, 320)},
	}
	for _, f := range files {
		f.modified = modified
	}
	return files
}

// prose writes about n bytes of text that repeats words as natural language does.
func prose(random *rand.Rand, n int) []byte {
	words := strings.Fields("the sea a boat and wind of harbour light over water keeps its watch while every wave returns to stone under grey morning sky where gulls turn slowly home before rain")
	var b bytes.Buffer
	for column := 0; b.Len() < n; {
		w := words[random.IntN(len(words))]
		b.WriteString(w)
		if column += len(w) + 1; column > 76 {
			b.WriteByte('\n')
			column = 0
		} else {
			b.WriteByte(' ')
		}
	}
	return b.Bytes()
}

// product is an item of the catalog.
type product struct {
	ID       int      `json:"id"`
	Name     string   `json:"name"`
	Price    float64  `json:"price"`
	Currency string   `json:"currency"`
	Tags     []string `json:"tags"`
	Stock    int      `json:"stock"`
}

func catalog(random *rand.Rand, n int) []byte {
	kinds := []string{"rope", "anchor", "lantern", "compass", "chart", "sail", "pulley", "buoy"}
	out := make([]product, n)
	for i := range out {
		kind := kinds[random.IntN(len(kinds))]
		out[i] = product{i + 1, fmt.Sprintf("%s no. %d", kind, random.IntN(1000)), float64(random.IntN(100_000)) / 100, "EUR", []string{kind, "marine"}, random.IntN(500)}
	}
	return encode(out)
}

// picture makes an image that compresses badly, like a photograph.
func picture(random *rand.Rand, width, height int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			grain := uint8(random.IntN(64))
			img.SetRGBA(x, y, color.RGBA{uint8(x*160/width) + grain, uint8(y*160/height) + grain, 120 + grain, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil // cannot happen: a bytes.Buffer does not fail, and the image is not empty
	}
	return b.Bytes()
}

// encode returns v as JSON. v must always be encodable.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Appendf(nil, `{"error":%q}`, err)
	}
	return b
}
