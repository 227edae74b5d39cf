// Fetches the page again, every few seconds and for a link within it, and writes
// what has changed over what is there. What stays the same is not touched, so
// that focus, selection and scrolling stay too.
'use strict';
{
	const every = 10_000; // milliseconds
	const parts = ['link[rel=canonical]', 'main', '#updated'];
	let tag = null; // the ETag of what is shown
	let underway = null; // aborts the fetch that is under way

	// write makes have look like want. An element that a script drew
	// (data-drawn) keeps what is in it.
	const write = (have, want) => {
		if (have.nodeType !== want.nodeType || have.nodeName !== want.nodeName || keyOf(have) !== keyOf(want)) {
			have.replaceWith(document.importNode(want, true));
			return;
		}
		if (have.nodeType === Node.TEXT_NODE) {
			if (have.data !== want.data) have.data = want.data;
			return;
		}
		if (have.nodeType !== Node.ELEMENT_NODE || have.isEqualNode(want)) return;
		writeAttributes(have, want);
		if ('drawn' in have.dataset) return;
		const wanted = [...want.childNodes];
		wanted.forEach((child, i) => {
			if (i < have.childNodes.length) write(have.childNodes[i], child);
			else have.append(document.importNode(child, true));
		});
		while (have.childNodes.length > wanted.length) have.lastChild.remove();
	};

	const keyOf = (node) => (node.dataset ? node.dataset.key : undefined);

	const writeAttributes = (have, want) => {
		for (const { name, value } of want.attributes) {
			if (have.getAttribute(name) !== value) have.setAttribute(name, value);
		}
		if ('drawn' in have.dataset) return; // scripts add some of their own
		for (const { name } of [...have.attributes]) {
			if (!want.hasAttribute(name)) have.removeAttribute(name);
		}
		// What a visitor has changed is not in the attributes.
		if (have === document.activeElement) return;
		if (have.type === 'checkbox') have.checked = want.hasAttribute('checked');
		else if (have.type === 'search') have.value = want.getAttribute('value') ?? '';
		else if (have.nodeName === 'OPTION') have.selected = want.hasAttribute('selected');
	};

	// fetchPage shows the page of a URL, or says that it cannot.
	const fetchPage = async (url, signal) => {
		const headers = { Accept: 'text/html' };
		if (tag && url === location.href) headers['If-None-Match'] = tag;
		const response = await fetch(url, { headers, signal, cache: 'no-store' });
		if (response.status === 304) return;
		if (!response.ok && response.status !== 404) throw new Error(`${response.status}`);
		const next = new DOMParser().parseFromString(await response.text(), 'text/html');
		if (signal.aborted) return;
		tag = response.headers.get('ETag');
		document.title = next.title;
		document.body.toggleAttribute('data-live', next.body.hasAttribute('data-live'));
		for (const part of parts) {
			const have = document.querySelector(part);
			const want = next.querySelector(part);
			if (have && want) write(have, want);
		}
		document.dispatchEvent(new Event('page:written'));
	};

	// load shows a URL, unless another is asked for meanwhile.
	const load = async (url) => {
		underway?.abort();
		const mine = underway = new AbortController();
		try {
			await fetchPage(url, mine.signal);
			lost(false);
			return true;
		} catch (error) {
			if (error.name !== 'AbortError') lost(true);
			return false;
		} finally {
			if (underway === mine) underway = null;
		}
	};

	const lost = (is) => { document.getElementById('lost').hidden = !is; };

	// turn goes to another view of the same page, as the visitor asked: as a
	// step to come back from (pushState), in place of this one (replaceState),
	// or there already.
	const turn = async (url, how) => {
		if (how) history[how](null, '', url);
		if (await load(location.href)) {
			// The shortest address of what is shown is the one to share.
			history.replaceState(null, '', document.querySelector('link[rel=canonical]')?.getAttribute('href') ?? location.href);
			document.getElementById('told').textContent = document.getElementById('count')?.textContent ?? '';
		} else if (!underway) {
			location.reload(); // the browser says best what is wrong
		}
	};

	// viewOf is the address of what a form asks for.
	const viewOf = (form) => {
		const query = new URLSearchParams();
		for (const [name, value] of new FormData(form)) if (value) query.set(name, value);
		return `${form.getAttribute('action')}?${query}`;
	};

	document.addEventListener('click', (event) => {
		const link = event.target.closest?.('a[data-turn]');
		if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
		event.preventDefault();
		const paging = link.closest('.paging');
		turn(link.href, 'pushState').then(() => {
			if (!paging) return;
			// The rows are new, and begin above.
			const rows = document.getElementById('farmers');
			if (rows.getBoundingClientRect().top < 0) rows.scrollIntoView();
		});
	});
	document.addEventListener('submit', (event) => {
		if (!event.target.matches('form.filter')) return;
		event.preventDefault();
		turn(viewOf(event.target), 'pushState');
	});
	let typing;
	document.addEventListener('input', (event) => {
		const form = event.target.closest('form.filter');
		if (!form) return;
		clearTimeout(typing);
		const isWord = event.target.type === 'search'; // half of one is nothing to come back to
		typing = setTimeout(() => turn(viewOf(form), isWord ? 'replaceState' : 'pushState'), isWord ? 250 : 0);
	});
	addEventListener('popstate', () => turn(location.href));

	const look = () => {
		if (document.body.hasAttribute('data-live') && !document.hidden && !underway) load(location.href);
	};
	setInterval(look, every);
	document.addEventListener('visibilitychange', look);
	document.documentElement.classList.add('scripted');
}
