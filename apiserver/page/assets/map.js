// Replaces the server's map by a Leaflet map that visitors can move and zoom. The
// server has projected all positions, so both maps have the same coordinates.
'use strict';
{
	const calm = matchMedia('(prefers-reduced-motion: reduce)');

	const draw = (box) => {
		const [width, height] = [Number(box.dataset.width), Number(box.dataset.height)];
		const [least, most] = box.dataset.zooms.split(' ').map(Number);
		const at = (x, y) => L.latLng(-y, x);
		const bounds = L.latLngBounds(at(0, 0), at(width, height));
		box.dataset.drawn = '';
		box.replaceChildren();
		const map = L.map(box, {
			crs: L.CRS.Simple, attributionControl: false, zoomControl: false, zoomSnap: 0, zoomDelta: 1, minZoom: least, maxZoom: most,
			maxBounds: bounds.pad(0.1), maxBoundsViscosity: 1, scrollWheelZoom: false,
			zoomAnimation: !calm.matches, fadeAnimation: !calm.matches, inertia: !calm.matches,
		});
		L.control.zoom({ position: 'bottomleft' }).addTo(map); // over the Pacific, so that it hides no farmers
		box.setAttribute('role', 'region');
		box.setAttribute('aria-label', 'World map of the farmers: arrow keys move it, plus and minus zoom');

		const land = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
		land.setAttribute('viewBox', `0 0 ${width} ${height}`);
		land.setAttribute('aria-hidden', 'true');
		const outline = document.createElementNS('http://www.w3.org/2000/svg', 'use');
		outline.setAttribute('class', 'land');
		outline.setAttribute('href', box.dataset.land);
		outline.setAttribute('transform', 'scale(.1)');
		land.append(outline);
		L.svgOverlay(land, bounds).addTo(map);

		const edge = 16; // pixels around the map, so that no circle is cut
		const fit = () => {
			if (Math.min(map.getSize().x, map.getSize().y) < 4 * edge) return; // the page is not laid out yet
			map.options.minZoom = least; // otherwise a map that has become smaller keeps its zoom
			const whole = map.getBoundsZoom(bounds, false, L.point(edge, edge));
			map.setMinZoom(whole);
			map.setView(bounds.getCenter(), whole, { animate: false });
		};
		fit();
		let moved = false;
		map.on('zoomend', () => { moved = map.getZoom() > map.getMinZoom() + 0.01; box.classList.toggle('near', moved); });
		new ResizeObserver(() => { map.invalidateSize({ animate: false }); if (!moved) fit(); }).observe(box);
		keepSpots(map, at, [least, most]);
	};

	// keepSpots draws the clusters of the zoom level, and draws them again if they change.
	const keepSpots = (map, at, [least, most]) => {
		const spots = L.layerGroup().addTo(map);
		let shown = ''; // the clusters that are drawn, as JSON
		let asked = 0;
		const show = async () => {
			const mine = ++asked;
			const zoom = Math.max(least, Math.min(most, Math.round(map.getZoom())));
			let text;
			try {
				const response = await fetch(`/map.json?zoom=${zoom}`);
				if (!response.ok) return;
				text = await response.text();
			} catch { return; } // the next fetch of the page shows the problem
			if (mine !== asked || text === shown) return;
			shown = text;
			spots.clearLayers();
			for (const spot of JSON.parse(text)) spotOf(map, at, spot).addTo(spots);
		};
		map.on('zoomend', show);
		document.addEventListener('page:written', show);
		show();
	};

	const spotOf = (map, at, [x, y, full, online, label, title]) => {
		// The circles have the scale of the legend, whose least width is in the style sheet.
		const { x: width, y: height } = map.getSize();
		const scale = Math.max(600, width) / 1000;
		const radius = Math.max(2, full * scale);
		const icon = L.divIcon({ className: 'spot', iconSize: [2 * radius, 2 * radius], html: '' });
		const marker = L.marker(at(x, y), { icon, keyboard: false, zIndexOffset: -100 * radius }); // small circles are in front of large circles
		marker.on('add', () => {
			const inner = document.createElement('i');
			inner.style.setProperty('--share', `${full ? (100 * online) / full : 0}%`);
			const text = document.createElement('b');
			text.textContent = radius < 3 + 3 * label.length ? '' : label;
			marker.getElement().append(inner, text);
		});
		// The label stays within the map.
		const point = map.latLngToContainerPoint(at(x, y));
		const direction = point.x < 110 ? 'right' : point.x > width - 110 ? 'left' : point.y < height / 3 ? 'bottom' : 'top';
		const offset = { right: [radius, 0], left: [-radius, 0], bottom: [0, radius], top: [0, -radius] }[direction];
		const words = document.createElement('span');
		words.textContent = title;
		marker.bindTooltip(words, { direction, offset });
		marker.on('click', () => map.setView(at(x, y), map.getZoom() + 1.5, { animate: !calm.matches }));
		return marker;
	};

	const begin = () => {
		const box = document.getElementById('map');
		if (box && !('drawn' in box.dataset)) draw(box);
	};
	document.addEventListener('page:written', begin);
	begin();
}
