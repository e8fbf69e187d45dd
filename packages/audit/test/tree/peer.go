// Asks Go's own packages of notes and trees: a question a line, in JSON, and an answer for each.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// Of a question only what its Op needs is there.
type question struct {
	Op        string
	Note      string
	Text      string
	Name      string
	Signers   []string
	Verifiers []string
	Bytes     []byte
	Hashes    []tlog.Hash
	Size      int64
	Root      tlog.Hash
	Index     int64
	Leaf      tlog.Hash
	Old       int64
	OldRoot   tlog.Hash
	Tiles     map[string][]byte
	Path      string
}

type answer struct {
	Error    string      `json:"error,omitempty"`
	Text     string      `json:"text,omitempty"`
	Names    []string    `json:"names,omitempty"`
	Note     string      `json:"note,omitempty"`
	Signer   string      `json:"signer,omitempty"`
	Verifier string      `json:"verifier,omitempty"`
	Root     string      `json:"root,omitempty"`
	Record   []tlog.Hash `json:"record,omitempty"`
	Tree     []tlog.Hash `json:"tree,omitempty"`
	Path     string      `json:"path,omitempty"`
}

func main() {
	in := bufio.NewReader(os.Stdin)
	questions, answers := json.NewDecoder(in), json.NewEncoder(os.Stdout)
	for questions.More() {
		var q question
		if err := questions.Decode(&q); err != nil {
			panic(err)
		}
		a, err := reply(q)
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := answers.Encode(a); err != nil {
			panic(err)
		}
	}
}

func reply(q question) (answer, error) {
	switch q.Op {
	case "open":
		return open(q)
	case "generate":
		signer, verifier, err := note.GenerateKey(rand.Reader, q.Name)
		return answer{Signer: signer, Verifier: verifier}, err
	case "sign":
		return sign(q)
	case "leaf":
		return answer{Root: tlog.RecordHash(q.Bytes).String()}, nil
	case "record":
		return answer{}, tlog.CheckRecord(q.Hashes, q.Size, q.Root, q.Index, q.Leaf)
	case "tree":
		return answer{}, tlog.CheckTree(q.Hashes, q.Size, q.Root, q.Old, q.OldRoot)
	case "prove":
		return prove(q)
	case "path":
		tile, err := tlog.ParseTilePath(strings.Replace(q.Path, "tile/", "tile/8/", 1))
		return answer{Path: strings.Replace(tile.Path(), "tile/8/", "tile/", 1)}, err
	}
	return answer{}, errors.New("no such question")
}

func open(q question) (answer, error) {
	var known []note.Verifier
	for _, text := range q.Verifiers {
		verifier, err := note.NewVerifier(text)
		if err != nil {
			return answer{}, err
		}
		known = append(known, verifier)
	}
	opened, err := note.Open([]byte(q.Note), note.VerifierList(known...))
	if err != nil {
		return answer{}, err
	}
	a := answer{Text: opened.Text}
	for _, signature := range opened.Sigs {
		a.Names = append(a.Names, signature.Name)
	}
	return a, nil
}

func sign(q question) (answer, error) {
	var signers []note.Signer
	for _, text := range q.Signers {
		signer, err := note.NewSigner(text)
		if err != nil {
			return answer{}, err
		}
		signers = append(signers, signer)
	}
	signed, err := note.Sign(&note.Note{Text: q.Text}, signers...)
	return answer{Note: string(signed)}, err
}

// Reads tiles as a client of a log does, which checks each of them up to the root, and makes the proofs itself.
func prove(q question) (answer, error) {
	reader := tlog.TileHashReader(tlog.Tree{N: q.Size, Hash: q.Root}, tiles(q.Tiles))
	root, err := tlog.TreeHash(q.Size, reader)
	if err != nil {
		return answer{}, err
	}
	record, err := tlog.ProveRecord(q.Size, q.Index, reader)
	if err != nil {
		return answer{}, err
	}
	tree, err := tlog.ProveTree(q.Size, q.Old, reader)
	return answer{Root: root.String(), Record: record, Tree: tree}, err
}

type tiles map[string][]byte

func (t tiles) Height() int { return height }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		bytes, found := t[path]
		if !found {
			return nil, errors.New("no " + path)
		}
		data = append(data, bytes)
	}
	return data, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}
