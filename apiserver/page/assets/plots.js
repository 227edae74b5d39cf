// Draws the plots again with uPlot, so that they show the value under the pointer.
'use strict';
{
	const drawn = new WeakMap(); // the uPlot of each box
	const colourOf = (box, name) => {
		const probe = box.closest('.plot').querySelector('figcaption');
		probe.style.color = `var(--${name})`;
		const colour = getComputedStyle(probe).color;
		probe.style.color = '';
		return colour;
	};

	// The formats are the same as the server's.
	const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
	const say = {
		counts: (v) => whole.format(v),
		bytes: (v) => {
			const scales = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
			let i = 0;
			while (v >= 1024 && i < scales.length - 1) { v /= 1024; i++; }
			return `${i && v < 10 ? v.toFixed(1) : v.toFixed(0)} ${scales[i]}`;
		},
	};
	const narrow = matchMedia('(max-width: 34rem)'); // then a plot is a small line without axes
	const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
	const minute = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', timeZone: 'UTC' });
	const whenOf = (seconds, daily) => {
		const at = new Date(seconds * 1000);
		return daily ? day.format(at) : `${day.format(at)}, ${minute.format(at)}`;
	};

	const isDaily = (times) => times[1] - times[0] >= 86400;
	const isBrief = ({ from, to }) => to - from <= 48 * 3600;
	// The possible steps of the time axis, in seconds. A shorter step would repeat labels.
	const minutes = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440].map((n) => n * 60);
	const days = [1, 2, 3, 5, 7, 10, 15, 30, 60, 90, 180, 365].map((n) => n * 86400);

	const draw = (box) => {
		const { unit } = box.dataset;
		const ticks = () => JSON.parse(box.dataset.ticks); // the values and the labels
		const bars = 'bars' in box.dataset;
		const data = JSON.parse(box.dataset.points);
		const figure = box.closest('.plot');
		const reading = figure.querySelector('.reading b');
		const when = figure.querySelector('.when');
		const text = getComputedStyle(box).fontFamily;
		const options = {
			width: box.clientWidth, height: box.clientHeight,
			padding: narrow.matches ? [2, 0, 2, 0] : [8, 18, 0, 0], // half the width of a label of the time axis
			legend: { show: false },
			cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
			tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'UTC'),
			scales: {
				x: { time: true, range: (_, least, most) => (bars ? [least, most] : [Number(box.dataset.from), Number(box.dataset.to)]) },
				y: { range: () => [0, ticks()[0].at(-1)] },
			},
			axes: [
				{
					show: !narrow.matches,
					stroke: () => colourOf(box, 'muted'), font: `11px ${text}`, size: 24, gap: 6, grid: { show: false }, ticks: { show: false }, space: 90,
					incrs: () => (isBrief(box.dataset) ? minutes : days),
					values: (_, splits) => splits.map((s) => (isBrief(box.dataset) ? minute : day).format(new Date(s * 1000))),
				},
				{
					show: !narrow.matches,
					stroke: () => colourOf(box, 'muted'), font: `11px ${text}`, size: 52, gap: 6, ticks: { show: false },
					grid: { stroke: () => colourOf(box, 'rule'), width: 1 },
					splits: () => ticks()[0],
					values: () => ticks()[1],
				},
			],
			series: [{}, {
				stroke: () => colourOf(box, bars ? 'none' : 'accent'), width: 1.5,
				fill: () => colourOf(box, bars ? 'accent' : 'wash'), points: { show: false },
				...(bars ? { paths: uPlot.paths.bars({ size: [0.8, 40] }), width: 0 } : {}),
			}],
			hooks: {
				setCursor: [(u) => {
					const [at, values] = u.data;
					const i = u.cursor.idx;
					const pointed = i !== null && i !== undefined && u.cursor.left >= 0;
					when.textContent = pointed ? `${whenOf(at[i], isDaily(at))}  ` : '';
					reading.textContent = say[unit](values[pointed ? i : values.length - 1]);
				}],
			},
		};
		box.dataset.drawn = '';
		box.replaceChildren();
		box.setAttribute('role', 'img');
		box.setAttribute('aria-label', box.dataset.summary);
		const plot = new uPlot(options, data, box);
		drawn.set(box, { plot, points: box.dataset.points });
		const resized = new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: box.clientHeight }));
		resized.observe(box);
		plot.hooks.destroy = [() => resized.disconnect()];
	};

	const look = () => {
		for (const box of document.querySelectorAll('[data-plot]')) {
			const known = drawn.get(box);
			if (!known) draw(box);
			else if (known.points !== box.dataset.points) {
				known.points = box.dataset.points;
				box.setAttribute('aria-label', box.dataset.summary);
				known.plot.setData(JSON.parse(known.points));
			}
		}
	};
	document.addEventListener('page:written', look);
	narrow.addEventListener('change', () => {
		for (const box of document.querySelectorAll('[data-plot]')) {
			drawn.get(box)?.plot.destroy();
			drawn.delete(box);
		}
		look();
	});
	document.addEventListener('page:colours', () => {
		for (const box of document.querySelectorAll('[data-plot]')) drawn.get(box)?.plot.redraw(false);
	});
	look();
}
