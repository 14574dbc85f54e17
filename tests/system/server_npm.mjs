// The unmodified openai package of npm against a server: HOST:PORT KEY, 24 kHz PCM16 on standard input, JSON out.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(`${process.cwd()}/`);
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const { default: OpenAI } = await load('openai');
const { OpenAIRealtimeTranslationWS } = await load('openai/realtime/translations/ws');
const [host, key] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `https://${host}/v1`, apiKey: key });
const session = { model: 'local', audio: { output: { language: 'es' } } };
const secret = await client.realtime.translations.clientSecrets.create({ session });
const translation = await OpenAIRealtimeTranslationWS.create(new OpenAI({ baseURL: `https://${host}/v1`, apiKey: secret.value }), {
  model: 'local',
});
const result = { secret: secret.value.slice(0, 3), kinds: {}, errors: [], text: '', bytes: 0 };
translation.on('event', (event) => { result.kinds[event.type] = (result.kinds[event.type] || 0) + 1; });
translation.on('error', (error) => result.errors.push(error.message));
translation.on('session.output_transcript.delta', (event) => { result.text += event.delta; });
translation.on('session.output_audio.delta', (event) => { result.bytes += Buffer.from(event.delta, 'base64').length; });
await new Promise((opened, failed) => { translation.socket.on('open', opened); translation.socket.on('error', failed); });
translation.send({ type: 'session.update', session: { audio: { output: { language: 'es' } } } });
const pcm = fs.readFileSync(0);
for (let first = 0; first < pcm.length; first += 9600) {
  const audio = pcm.subarray(first, first + 9600).toString('base64');
  translation.send({ type: 'session.input_audio_buffer.append', audio });
}
await translation.finish({ timeoutMs: 60000 });
console.log(JSON.stringify(result));
