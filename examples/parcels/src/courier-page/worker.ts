import { worker } from './browser.ts'

/** What the page is made of: without a network the copy that was kept is served. */
const FILES = ['/courier/', '/courier/page.js']

worker.addEventListener('install', (event) => {
  event.waitUntil(worker.caches.open('courier').then((kept) => kept.addAll(FILES)))
})

worker.addEventListener('fetch', (event) => {
  const { pathname } = new URL(event.request.url)
  if (FILES.includes(pathname)) event.respondWith(fetch(event.request).catch(() => worker.caches.match(pathname)))
})
