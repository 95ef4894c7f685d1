// Our tokenizer.json as another reader understands it.
//   node tokenizer_npm.mjs LIB write FOLDER     make the texts
//   node tokenizer_npm.mjs LIB check SET TEXT   the ids of dataset SET are the
//                                               ids that LIB gives for TEXT
//   node tokenizer_npm.mjs LIB bytes SET TEXT   the ids spell TEXT, byte for byte
//   node tokenizer_npm.mjs LIB vary SET FOLDER  SET's tokenizer.json in the forms
//                                               that others publish
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [lib, what, where, text] = process.argv.slice(2);

// Numbers that are the same everywhere (xorshift).
let state = 2463534242;
const below = (n) => {
  state ^= state << 13; state >>>= 0;
  state ^= state >>> 17;
  state ^= state << 5; state >>>= 0;
  return state % n;
};
const pick = (list) => list[below(list.length)];
const between = (a, b) => String.fromCodePoint(a + below(b - a + 1));
const many = (n, one) => Array.from({ length: n }, one).join('');

const words = ('the quick brown fox can\'t won\'t it\'s they\'ll I\'d we\'ve you\'re I\'m ' +
  'naïve café über straße Ελλάδα Москва שלום مرحبا नमस्ते สวัสดี 한국어 ひらがな カタカナ').split(' ');
const emoji = ['😀', '🚀', '👍🏽', '👨‍👩‍👧‍👦', '🇩🇪', '❤️', '🏳️‍🌈', '🧑🏿‍💻', '☃', '🤷‍♀️'];
const kinds = [
  () => pick(words) + ' ',
  () => many(1 + below(12), () => between(0x4e00, 0x9fa5)) + pick(['，', '。', '！', '\n', '']),
  () => many(1 + below(3), () => pick(emoji)) + pick([' ', '', '\n']),
  () => pick([' ', '  ', '\n\n', '\t', ' \n ', '\r\n', '   ', '\u00a0', '\u3000', '\u2003']),
  () => many(1 + below(6), () => between(0x30, 0x39)) + pick([' ', ',', '.', '']),
  () => pick(['if (x != 0) { return y->z[i++]; }', '<div class="a">&amp;</div>', 'a_b::c/d\\e', '"\'`', '...', '—', '<|endoftext|', '<|', '½²Ⅷ٣']),
  () => many(1 + below(8), () => between(0xac00, 0xd7a3)) + ' ',
  () => many(2 + below(6), () => between(0x0400, 0x044f)) + ' ',
  () => many(1 + below(4), () => between(0x0905, 0x0939) + pick(['', '\u093f', '\u094d', '\u0902'])) + ' ',
  () => 'e\u0301' + 'a\u0308 ' + many(3, () => between(0x61, 0x7a)),
];

function write(folder) {
  let valid = '';
  while (Buffer.byteLength(valid) < 1000000) valid += many(64, () => pick(kinds)());
  fs.writeFileSync(path.join(folder, 'valid.txt'), valid);
  // Bytes that are not UTF-8 wherever they may fall: alone, in rows, cut-off
  // characters, overlong forms, surrogates, beyond U+10FFFF.
  const wrong = ['ff', 'fe', '80', 'c3', 'e4b8', 'f09f98', 'c080', 'eda080', 'f4908080', 'bfbfbf', 'c328'];
  const bytes = Buffer.from(valid).subarray(0, 300000), parts = [];
  for (let at = 0; at < bytes.length;) {
    const n = 1 + below(400);
    parts.push(bytes.subarray(at, at + n), Buffer.from(pick(wrong), 'hex'));
    at += n;
  }
  const broken = Buffer.concat(parts);
  fs.writeFileSync(path.join(folder, 'broken.txt'), broken);
  fs.writeFileSync(path.join(folder, 'replaced.txt'), broken.toString('utf8'));
}

// train.bin: a header of 64 bytes, then ids of 2 or 4 bytes.
function readIds(set) {
  const file = fs.readFileSync(path.join(set, 'train.bin'));
  const width = file.readUInt32LE(12), n = Number(file.readBigUInt64LE(16)), ids = [];
  for (let i = 0; i < n; i++)
    ids.push(width === 2 ? file.readUInt16LE(64 + 2 * i) : file.readUInt32LE(64 + 4 * i));
  return ids;
}

const json = () => JSON.parse(fs.readFileSync(path.join(where, 'tokenizer.json'), 'utf8'));

async function check() {
  const { Tokenizer } = await import(pathToFileURL(path.resolve(lib)));
  const tokenizer = new Tokenizer(json(), {});
  const ids = readIds(where), end = json().added_tokens[0].id;
  if (ids.pop() !== end) throw new Error('the document does not end with the end token');
  const theirs = tokenizer.encode(fs.readFileSync(text, 'utf8'), { add_special_tokens: false }).ids;
  const n = Math.max(ids.length, theirs.length);
  for (let i = 0; i < n; i++) {
    if (ids[i] === theirs[i]) continue;
    const show = (list) => JSON.stringify(tokenizer.decode(list.slice(Math.max(0, i - 4), i + 4)));
    throw new Error(`id ${i} of ${n}: ours ${ids[i]}, theirs ${theirs[i]}: ${show(ids)} ${show(theirs)}`);
  }
  const wanted = fs.readFileSync(text, 'utf8');
  const back = tokenizer.decode(ids, { clean_up_tokenization_spaces: false });
  if (back !== (json().normalizer?.type === 'NFC' ? wanted.normalize('NFC') : wanted))
    throw new Error('their decoder gives another text');
}

// By the alphabet of byte-level BPE alone.
function bytes() {
  const letters = new Map();
  let next = 256;
  for (let b = 0; b < 256; b++) {
    const prints = (b > 32 && b < 127) || (b > 160 && b !== 173);
    letters.set(String.fromCodePoint(prints ? b : next++), b);
  }
  const spelling = [];
  for (const [token, id] of Object.entries(json().model.vocab))
    spelling[id] = Buffer.from([...token].map((c) => letters.get(c)));
  const ids = readIds(where);
  ids.pop();
  const back = Buffer.concat(ids.map((id) => spelling[id]));
  if (!back.equals(fs.readFileSync(text))) throw new Error('the ids do not spell the text');
}

// The same vocabulary behind the splits, flags and spellings of known files.
function vary(folder) {
  const level = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  const split = (pattern, behavior = 'Isolated', invert = false) =>
    ({ type: 'Split', pattern: { Regex: pattern }, behavior, invert });
  const steps = (...list) => ({ type: 'Sequence', pretokenizers: [...list, level] });
  const tail = "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|DIGITS| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  const words = (digits) => "(?i:'s|'t|'re|'ve|'m|'ll|'d)" + tail.replace('DIGITS', digits);
  const forms = {
    llama3: (t) => {
      t.pre_tokenizer = steps(split(words('\\p{N}{1,3}')));
      t.model.ignore_merges = true;
    },
    qwen3: (t) => {
      t.normalizer = { type: 'NFC' };
      t.pre_tokenizer = steps(split(words('\\p{N}')));
      t.model.merges = t.model.merges.map((m) => m.split(' '));
    },
    gpt4o: (t) => {
      t.pre_tokenizer = steps(split(words('\\p{N}{1,3}'), 'Removed', true));
    },
    deepseek: (t) => {
      t.normalizer = { type: 'Sequence', normalizers: [] };
      t.pre_tokenizer = steps(split('\\p{N}{1,3}'), split('[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+'),
        split('[\\p{P}\\p{S}]+|\\s+(?!\\S)| ?[^\\s\\p{P}\\p{S}]+|\\s+'));
    },
  };
  for (const [name, change] of Object.entries(forms)) {
    const t = json();
    change(t);
    const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    const top = Object.keys(t.model.vocab).length;
    // not what a merge makes too: readers disagree on its id
    ['<|', '< ', '——', '<div class', '😀'].filter((c) => !(c in t.model.vocab)).forEach((content, i) =>
      t.added_tokens.push({ id: top + i, content, ...plain, special: i === 0 }));
    fs.mkdirSync(path.join(folder, name), { recursive: true });
    fs.writeFileSync(path.join(folder, name, 'tokenizer.json'), JSON.stringify(t));
  }
  console.log(Object.keys(forms).join(' '));
}

if (what === 'write') write(where);
else if (what === 'vary') vary(text);
else if (what === 'check') await check();
else if (what === 'bytes') bytes();
else throw new Error(`no ${what}`);
