//! A page against a sorted list.

use ochre_base::{BlockNo, RowId};
use ochre_storage::Page;

use super::node::{self, EntryBuf, EntryRef};
use super::test_support::{Lcg, tricky_entry};

fn new_page(level: u8) -> Box<Page> {
    let mut page = Box::new(Page::zeroed());
    node::init(&mut page, level);
    page
}

fn entries(page: &Page) -> Vec<EntryBuf> {
    (0..node::count(page.bytes())).map(|index| node::entry_at(page.bytes(), index)).collect()
}

fn check_searches(page: &Page, model: &[EntryBuf], target: &EntryBuf) {
    let expected = model.partition_point(|entry| entry < target);
    assert_eq!(node::lower_bound(page.bytes(), target.as_ref()), expected, "{target:?} in {model:?}");
    for (index, entry) in model.iter().enumerate() {
        assert_eq!(node::key_equals(page.bytes(), index, target.as_ref()), entry.key == target.key);
        assert_eq!(node::entry_equals(page.bytes(), index, target.as_ref()), entry == target);
    }
}

#[test]
fn a_leaf_behaves_as_a_sorted_list() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Lcg::new(seed);
        let mut page = new_page(0);
        let mut model: Vec<EntryBuf> = Vec::new();
        let mut refused = 0;
        let max_key = [3, 12, 60, 700][random.below(4)];
        for _ in 0..1500 {
            let entry = tricky_entry(&mut random, max_key);
            if random.below(3) == 0 && !model.is_empty() {
                let index = random.below(model.len());
                model.remove(index);
                node::remove(page.bytes_mut(), index);
            } else if let Err(index) = model.binary_search(&entry) {
                let used = node::used_bytes(page.bytes());
                if node::insert(page.bytes_mut(), index, entry.as_ref(), BlockNo(0)) {
                    model.insert(index, entry.clone());
                } else {
                    refused += 1;
                    assert_eq!(node::used_bytes(page.bytes()), used);
                    assert!(used + entry.key.len() * model.len().max(1) > 2000, "refused with {used} used");
                }
            }
            assert_eq!(node::validate(page.bytes()), Ok(()));
            assert_eq!(page.verify_layout(), Ok(()));
            if random.below(20) == 0 {
                assert_eq!(entries(&page), model);
                let target = tricky_entry(&mut random, max_key);
                check_searches(&page, &model, &target);
            }
        }
        assert!(max_key < 60 || refused > 0, "the page was never full");
    }
}

#[test]
fn halves_of_a_split_hold_all_entries_below_and_above_the_bound() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut random = Lcg::new(seed);
        let mut page = new_page(0);
        let mut model: Vec<EntryBuf> = Vec::new();
        let max_key = [5, 30, 400, 2500][random.below(4)];
        let (place, wanted) = loop {
            let entry = tricky_entry(&mut random, max_key);
            if let Err(index) = model.binary_search(&entry) {
                if !node::insert(page.bytes_mut(), index, entry.as_ref(), BlockNo(0)) {
                    break (index, entry);
                }
                model.insert(index, entry);
            }
        };
        let (point, separator) = super::insert::choose_split(page.bytes(), place, wanted.as_ref()).unwrap();
        let mut right = new_page(0);
        node::take_upper(right.bytes_mut(), page.bytes(), point);
        let mut copied = new_page(0);
        let mut content = Vec::new();
        node::encode_content(right.bytes(), &mut content);
        assert_eq!(node::decode_content(&mut copied, &content), Some(()));
        node::keep_lower(page.bytes_mut(), point, separator.as_ref());
        assert_eq!(entries(&page), &model[..point]);
        assert_eq!(entries(&right), &model[point..]);
        assert_eq!(entries(&copied), &model[point..]);
        assert!(model[..point].iter().all(|entry| entry < &separator), "N1");
        assert!(model[point..].iter().all(|entry| entry >= &separator), "N1");
        assert_eq!(node::high_key(page.bytes()).map(EntryBuf::from), Some(separator));
        assert_eq!(node::high_key(right.bytes()), None);
        for page in [&page, &right, &copied] {
            assert_eq!(node::validate(page.bytes()), Ok(()));
        }
    }
}

#[test]
fn a_branch_finds_the_child_whose_range_holds_the_target() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut random = Lcg::new(seed);
        let mut page = new_page(1);
        assert!(node::insert(page.bytes_mut(), 0, EntryRef::before(&[]), BlockNo(100)));
        let mut bounds: Vec<(EntryBuf, u32)> = Vec::new();
        for child in 0..400 {
            let mut entry = tricky_entry(&mut random, 30);
            if random.below(2) == 0 {
                entry = EntryBuf { rid: 0, payload: Vec::new(), ..entry };
            }
            if entry == EntryBuf::default() {
                continue;
            }
            if let Err(index) = bounds.binary_search_by(|(bound, _)| bound.cmp(&entry)) {
                if !node::insert(page.bytes_mut(), index + 1, entry.as_ref(), BlockNo(child + 200)) {
                    break;
                }
                bounds.insert(index, (entry, child + 200));
            }
        }
        assert!(bounds.len() > 20);
        for _ in 0..200 {
            let target = tricky_entry(&mut random, 30);
            let index = bounds.partition_point(|(bound, _)| bound <= &target);
            assert_eq!(node::child_index(page.bytes(), target.as_ref()), index);
            let child = if index == 0 { 100 } else { bounds[index - 1].1 };
            assert_eq!(node::child_at(page.bytes(), index), BlockNo(child));
            let before = bounds.partition_point(|(bound, _)| bound < &target);
            assert_eq!(node::child_index_before(page.bytes(), target.as_ref()), before);
        }
        while node::count(page.bytes()) > 1 {
            let index = 1 + random.below(bounds.len());
            node::remove(page.bytes_mut(), index);
            bounds.remove(index - 1);
            for (at, (bound, child)) in bounds.iter().enumerate() {
                assert_eq!(&node::entry_at(page.bytes(), at + 1), bound);
                assert_eq!(node::child_at(page.bytes(), at + 1), BlockNo(*child));
            }
        }
        assert_eq!(node::validate(page.bytes()), Ok(()));
    }
}

#[test]
fn separators_are_short_and_between() {
    let e = |key: &'static [u8], rid, payload: &'static [u8]| EntryRef { key, rid, payload };
    let check = |left, right, expected| {
        assert!(node::separator(right, left).is_none());
        let separator = node::separator(left, right).unwrap();
        assert!(left < separator && separator <= right);
        assert_eq!(separator, expected);
    };
    check(e(b"apple", 9, b""), e(b"azure", 1, b""), e(b"az", 0, b""));
    check(e(b"ab", 9, b""), e(b"abcdef", 1, b""), e(b"abc", 0, b""));
    check(e(b"ab", 1, b"x"), e(b"ab", 2, b"y"), e(b"ab", 2, b""));
    check(e(b"ab", 1, b"x"), e(b"ab", 1, b"y"), e(b"ab", 1, b"y"));
    check(e(b"", 0, b""), e(b"", 1, b""), e(b"", 1, b""));
}

#[test]
fn sequential_integers_take_fourteen_bytes_each() {
    let mut page = new_page(0);
    let mut count = 0;
    loop {
        let key = super::test_support::int_key(1_000_000 + count as i64);
        let entry = EntryRef { key: &key, rid: count as u64, payload: &[] };
        if !node::insert(page.bytes_mut(), count, entry, BlockNo(0)) {
            break;
        }
        count += 1;
    }
    assert!(count > 575, "{count} entries on a page");
}

#[test]
fn damaged_pages_do_not_validate_or_are_harmless() {
    let mut random = Lcg::new(4);
    let mut page = new_page(0);
    for number in 0..200 {
        let key = super::test_support::int_key(number);
        node::insert(
            page.bytes_mut(),
            number as usize,
            EntryRef { key: &key, rid: 7, payload: b"p" },
            BlockNo(0),
        );
    }
    for _ in 0..20_000 {
        let mut damaged = page.clone();
        for _ in 0..1 + random.below(3) {
            let at = 12 + random.below(200);
            damaged.bytes_mut()[at] = random.next() as u8;
        }
        // The checker decodes only what validates: nothing there may panic.
        if node::validate(damaged.bytes()).is_ok() {
            for index in 0..node::count(damaged.bytes()) {
                node::entry_at(damaged.bytes(), index);
            }
            node::lower_bound(damaged.bytes(), EntryRef::before(b"\x01xyz"));
        }
    }
}

/// As random changes of pages found it: the bound between entries that are not in order is none.
#[test]
fn a_page_that_is_not_in_order_is_not_split() {
    let mut page = new_page(0);
    for (index, key) in [b"amma", b"nnnn"].into_iter().enumerate() {
        node::insert(page.bytes_mut(), index, EntryRef { key, rid: 7, payload: b"" }, BlockNo(0));
    }
    let wanted = EntryRef { key: b"mm", rid: 7, payload: b"" };
    let (point, _) = super::insert::choose_split(page.bytes(), 1, wanted).unwrap();
    assert_eq!(point, 1);
    let at = page.bytes().windows(4).position(|key| key == b"amma").unwrap();
    page.bytes_mut()[at] = b'z';
    assert_eq!(node::entry_at(page.bytes(), 0).key, b"zmma");
    assert!(super::insert::choose_split(page.bytes(), 1, wanted).is_none());
}

#[test]
fn a_prefix_lies_on_its_page_even_if_it_is_empty() {
    let mut page = new_page(0);
    let key = EntryRef { key: b"key", rid: 7, payload: b"" };
    node::insert(page.bytes_mut(), 0, key, BlockNo(0));
    assert_eq!(node::validate(page.bytes()), Ok(()));
    // The place of the prefix, as random changes of pages found it.
    page.bytes_mut()[39] = 40;
    assert_eq!(node::validate(page.bytes()), Err("the prefix lies outside the page".to_string()));
}

#[test]
fn searches_find_their_place_however_keys_are_spread() {
    let spreads: [fn(u32) -> u32; 5] =
        [|i| i, |i| i * 1000, |i| i * i * i, |i| u32::MAX - (1 << 30) / (i + 1), |i| i / 40 * 1_000_000];
    for spread in spreads {
        let mut page = new_page(0);
        let mut model: Vec<EntryBuf> = Vec::new();
        for i in 0..300 {
            let entry = EntryBuf {
                key: spread(i).to_be_bytes().to_vec(),
                rid: RowId::from_u64(u64::from(i)).to_u64(),
                payload: Vec::new(),
            };
            assert!(node::insert(page.bytes_mut(), model.len(), entry.as_ref(), BlockNo(0)));
            model.push(entry);
        }
        for number in model.iter().flat_map(|entry| {
            let number = u32::from_be_bytes(*entry.key.first_chunk().unwrap());
            [number.saturating_sub(1), number, number.saturating_add(1)]
        }) {
            for rid in [0, 150, node::AFTER_ALL_RIDS] {
                let target = EntryBuf { key: number.to_be_bytes().to_vec(), rid, payload: Vec::new() };
                let expected = model.partition_point(|entry| *entry < target);
                assert_eq!(node::lower_bound(page.bytes(), target.as_ref()), expected, "{target:?}");
            }
        }
    }
}
